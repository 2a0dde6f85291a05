//! Networks run by ONNX Runtime, whose library is not part of the engine.

use super::network::{Network, ObjectPool, Refusal, Tensor};
use crate::SharedLibrary;
use cache::panics;
use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
    value::{TensorElementType, TensorRef, ValueType},
};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// ONNX Runtime.
pub static LIBRARY: SharedLibrary =
    SharedLibrary { name: "onnxruntime", variable: "ORT_DYLIB_PATH" };

/// A network with the names of its input and of the tensor that is taken.
pub struct OnnxRuntime {
    environment: Environment,
    bytes: Vec<u8>,
    input: String,
    output: String,
    axes: usize,
    /// A session is used by one thread at a time.
    sessions: ObjectPool<Session>,
}

impl OnnxRuntime {
    /// Reads a network from the bytes of a file, for the library at a path. `output` names the tensor that is taken;
    /// without it the network must have one output.
    ///
    /// # Errors
    /// When the bytes are no such network, or when the library cannot be loaded.
    pub fn new(library: &Path, mut bytes: Vec<u8>, output: Option<&str>) -> Result<Self, Refusal> {
        let environment = environment(library).map_err(Refusal::Library)?;
        let plain = session(&environment, &bytes).map_err(Refusal::no_network)?;
        let [input] = plain.inputs() else {
            return Err(Refusal::inputs(plain.inputs().len()));
        };
        let axes = match input.dtype() {
            ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => shape.len(),
            _ => return Err(Refusal::File("has an input that does not hold floats".to_owned())),
        };
        let input = input.name().to_owned();
        let names: Vec<&str> = plain.outputs().iter().map(|output| output.name()).collect();
        let (output, first) = match (output, &names[..]) {
            (Some(name), names) if names.contains(&name) => (name.to_owned(), plain),
            (Some(name), _) => {
                add_output(&mut bytes, name);
                let with = session(&environment, &bytes);
                (name.to_owned(), with.map_err(|_| Refusal::no_tensor(name, &names))?)
            }
            (None, [name]) => ((*name).to_owned(), plain),
            (None, names) => return Err(Refusal::which_output(names)),
        };
        Ok(Self { environment, bytes, input, output, axes, sessions: ObjectPool::with(first) })
    }
}

/// The environment of the library at a path. A process has one.
fn environment(library: &Path) -> Result<Environment, String> {
    static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((path, environment)) = &*loaded {
        return match path == library {
            true => Ok(environment.clone()),
            false => Err(format!("this process has loaded `{}` already", path.display())),
        };
    }
    let load = || {
        let environment = ort::init_from(library).map_err(|why| why.to_string())?;
        environment.with_telemetry(false).build().map_err(|why| why.to_string())
    };
    let made = panics::catch(load).and_then(|made| made)?;
    Ok(loaded.insert((library.to_owned(), made)).1.clone())
}

/// A session on one thread: the bytes must not depend on how many there are.
fn session(environment: &Environment, bytes: &[u8]) -> Result<Session, String> {
    let make = || -> ort::Result<Session> {
        SessionBuilder::new(environment)?
            .with_intra_threads(1)?
            .with_deterministic_compute(true)?
            .commit_from_memory(bytes)
    };
    panics::catch(make)?.map_err(|why| why.to_string())
}

/// Makes an inner tensor an output of a network. Of a field that comes twice in a file of protocol buffers, readers
/// merge the messages and join the lists. So a further `ModelProto.graph` (field 7) with a `GraphProto.output`
/// (field 12) that has a `ValueInfoProto.name` (field 1) is added behind all others.
fn add_output(bytes: &mut Vec<u8>, name: &str) {
    let field = |number: u8, content: Vec<u8>| {
        let mut whole = vec![number << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            whole.push(length as u8 | 0x80);
            length >>= 7;
        }
        whole.push(length as u8);
        whole.extend(content);
        whole
    };
    bytes.extend(field(7, field(12, field(1, name.as_bytes().to_vec()))));
}

impl Network for OnnxRuntime {
    fn axes(&self) -> usize {
        self.axes
    }

    fn run(&self, (shape, values): Tensor) -> Result<Tensor, String> {
        let work = |session: &mut Session| -> ort::Result<Tensor> {
            let input = TensorRef::from_array_view((shape, &values[..]))?;
            let made = session.run(ort::inputs![self.input.as_str() => input])?;
            let (shape, values) = made[self.output.as_str()].try_extract_tensor::<f32>()?;
            Ok((shape.iter().map(|&side| side as usize).collect(), values.to_vec()))
        };
        self.sessions.use_one(
            || session(&self.environment, &self.bytes),
            |session| {
                let made = panics::catch(|| work(session))?;
                made.map_err(|why| why.to_string().replace('\n', " "))
            },
        )
    }
}
