//! The files that TensorBoard reads: records of TFRecord, each of which is an `Event` of protocol buffers.
//!
//! The few messages are written field by field, with the numbers of `event.proto`, `summary.proto` and the HParams
//! plugin's `plugin_data.proto`.

use serde_json::Value;

/// A message of protocol buffers.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, wire: u64) {
        self.varint(u64::from(field) << 3 | wire);
    }

    /// With a whole number.
    pub fn int(mut self, field: u32, value: u64) -> Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    /// With a number of double precision.
    pub fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With a number of single precision.
    pub fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// With bytes or a text.
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// With another message.
    pub fn message(self, field: u32, value: Message) -> Self {
        self.bytes(field, value.0)
    }
}

/// An event file in the making.
pub struct EventFile(Vec<u8>);

impl EventFile {
    /// A file that begins at this time, in seconds since 1970.
    pub fn starting(time: f64) -> Self {
        let mut file = Self(Vec::new());
        file.add(Message::new().double(1, time).bytes(3, "brain.Event:2"));
        file
    }

    /// Adds a number of a tag at a step.
    pub fn scalar(&mut self, time: f64, step: u64, tag: &str, value: f64) {
        let value = Message::new().bytes(1, tag).float(2, value as f32);
        self.summary(time, step, value);
    }

    /// Adds a PNG.
    pub fn image(&mut self, time: f64, tag: &str, png: &[u8]) {
        // The header of a PNG, which is always its first chunk, begins with its width and height.
        let number = |at: usize| {
            let bytes = png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            u64::from(bytes.map_or(0, u32::from_be_bytes))
        };
        const RGB: u64 = 3;
        let image = Message::new().int(1, number(20)).int(2, number(16)).int(3, RGB);
        self.summary(time, 0, Message::new().bytes(1, tag).message(4, image.bytes(4, png)));
    }

    /// Adds what the HParams plugin reads under a tag.
    fn hparams(&mut self, time: f64, tag: &str, content: Message) {
        let plugin = Message::new().bytes(1, "hparams").message(2, content);
        // The plugin wants a tensor beside its data, and does not look at it.
        let shape = Message::new().message(2, Message::new().int(1, 1));
        let tensor = Message::new().int(1, 1).message(2, shape).bytes(5, 0_f32.to_le_bytes());
        let value = Message::new().bytes(1, tag).message(8, tensor);
        self.summary(time, 0, value.message(9, Message::new().message(1, plugin)));
    }

    /// Says which hyperparameters and metrics there are.
    pub fn experiment<'n>(
        &mut self,
        time: f64,
        name: &str,
        hyperparameters: impl Iterator<Item = &'n str>,
        metrics: impl Iterator<Item = (&'n str, &'n str)>,
    ) {
        let mut experiment = Message::new().double(3, time).bytes(6, name);
        for name in hyperparameters {
            experiment = experiment.message(4, Message::new().bytes(1, name));
        }
        for (tag, title) in metrics {
            let name = Message::new().bytes(2, tag);
            experiment = experiment.message(5, Message::new().message(1, name).bytes(2, title));
        }
        self.hparams(time, "_hparams_/experiment", Message::new().message(2, experiment));
    }

    /// Says the hyperparameters of a session, and when it began and ended. Sessions of one group are repetitions.
    pub fn session(&mut self, time: f64, end: f64, group: &str, values: &[(String, Value)]) {
        let mut start = Message::new().bytes(4, group).double(5, time);
        for (name, value) in values {
            let entry = Message::new().bytes(1, name).message(2, value_of(value));
            start = start.message(1, entry);
        }
        const SUCCESS: u64 = 1;
        let ended = Message::new().int(1, SUCCESS).double(2, end);
        self.hparams(time, "_hparams_/session_start_info", Message::new().message(3, start));
        self.hparams(end, "_hparams_/session_end_info", Message::new().message(4, ended));
    }

    fn summary(&mut self, time: f64, step: u64, value: Message) {
        let summary = Message::new().message(1, value);
        self.add(Message::new().double(1, time).int(2, step).message(5, summary));
    }

    /// Adds a record: its length with a checksum, then its bytes with a checksum.
    fn add(&mut self, event: Message) {
        let length = (event.0.len() as u64).to_le_bytes();
        self.0.extend(length);
        self.0.extend(masked(&length).to_le_bytes());
        self.0.extend(&event.0);
        self.0.extend(masked(&event.0).to_le_bytes());
    }

    /// The bytes of the file.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A `google.protobuf.Value`; a list is the text of it.
fn value_of(value: &Value) -> Message {
    match value {
        Value::Null => Message::new().int(1, 0),
        Value::Bool(value) => Message::new().int(4, u64::from(*value)),
        Value::Number(number) => Message::new().double(2, number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Message::new().bytes(3, text),
        other => Message::new().bytes(3, other.to_string()),
    }
}

/// The checksum of TFRecord: CRC-32C, masked so that a checksum of what holds checksums is no weaker.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C, of Castagnoli's polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let (mut table, mut at) = ([0; 256], 0);
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = value >> 1 ^ if value & 1 == 1 { 0x82f6_3b78 } else { 0 };
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn numbers_are_written_as_protocol_buffers_do() {
        // The examples of their documentation: 150 in field 1, and "testing" in field 2.
        assert_eq!(Message::new().int(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().bytes(2, "testing").0, b"\x12\x07testing");
        let inner = Message::new().int(1, 150);
        assert_eq!(Message::new().message(3, inner).0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
    }
}
