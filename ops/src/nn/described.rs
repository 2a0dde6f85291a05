//! The metadata of a model from which its network can be built again.

use super::layers::Architecture;
use cache::Meta;
use serde_json::Value;

impl Architecture {
    /// The metadata with which a reader of the weights can build the network.
    pub fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("height", self.input[0].into()),
            ("width", self.input[1].into()),
            ("channels", self.channels.clone().into()),
            ("kernel", self.kernel.into()),
            ("stride", self.stride.into()),
            ("latent", self.latent.into()),
            ("batch_norm", self.batch_norm.into()),
            ("variational", self.variational.into()),
        ]
    }

    /// The architecture that metadata describe; `None` where they describe none.
    pub fn described(meta: &Meta) -> Option<Self> {
        let count = |name: &str| {
            let value = meta.get(name).and_then(Value::as_u64);
            value.filter(|value| (1..=1 << 20).contains(value)).map(|value| value as usize)
        };
        let truth = |name: &str| meta.get(name).and_then(Value::as_bool);
        let channels = meta.get("channels")?.as_array()?.iter();
        let channels = channels.map(|it| it.as_u64().filter(|count| *count > 0));
        Some(Self {
            input: [count("height")?, count("width")?],
            channels: channels.map(|it| Some(it? as usize)).collect::<Option<Vec<_>>>()?,
            kernel: count("kernel")?,
            stride: count("stride")?,
            batch_norm: truth("batch_norm")?,
            latent: count("latent")?,
            variational: truth("variational")?,
        })
    }
}
