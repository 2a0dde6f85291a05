//! Types of parameters with a limited range, so that an invalid value is refused where it is
//! written, and the JSON schema states the limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! limited {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $schema:tt, |$x:ident| $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "f64")]
        #[schemars(extend $schema)]
        pub struct $name(f64);

        impl $name {
            /// The number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from($x: f64) -> Result<Self, String> {
                if $fits { Ok(Self($x)) } else { Err(format!("`{}` is not {}", $x, $expected)) }
            }
        }
    };
}

limited!(
    /// A finite number above 0.
    Positive, "a number above 0", ("exclusiveMinimum" = 0), |x| x.is_finite() && x > 0.0
);
limited!(
    /// A finite number of at least 0.
    NonNegative, "a number of at least 0", ("minimum" = 0), |x| x.is_finite() && x >= 0.0
);
limited!(
    /// A number from 0 to 1.
    Fraction, "a number from 0 to 1", ("minimum" = 0, "maximum" = 1), |x| (0.0..=1.0).contains(&x)
);
