//! The op `command`: an external program as a step.

use super::{
    made::{self, Made},
    picture,
    template::{Part, parts},
};
use crate::{
    Ctx, Determinism, ErrorKind, Form, Inputs, Op, OpError, Outputs, Piece, Port, Product, Program,
    ProgramEnvironment, Select, Source, ports,
};
use cache::{Kind, Shape, picture::PictureFormat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Any program as a step: a model in Python, R or Julia, or a tool of the system.
///
/// The program reads its inputs from files and leaves its outputs in files, all of them Parquet
/// (models: safetensors; pictures: SVG or PNG): `{in.NAME}` in `command` is the path of an input, which `in` of the step
/// connects, and `{out.NAME}` the path at which an output of `outputs` shall lie. It runs in
/// the folder where the engine was started, with the seed in `ENGINE_SEED`, `params` as JSON in
/// `ENGINE_PARAMS`, and of the environment only `PATH`, `HOME`, `LANG` and what `env` names;
/// `TMPDIR` is a folder of its own that is removed afterwards. No shell is between: write
/// `[sh, -c, …]` for one. Of what it prints the first and the last megabyte go to its log, whose end is
/// shown when it fails; `environment` runs it in one of Python, conda or a container. Its own end, the step's `timeout` and Ctrl-C end all that it started.
///
/// An output has a row a clip, named by `clip_id` and put into the order of the first input; without
/// that column it has as many rows as the first input. The features of a matrix are all its other
/// columns of numbers, or one column of fixed-size lists, and finite.
///
/// The step runs again when the command, `params`, an input, the seed, or the content of a file
/// changes that the command names or `files` lists; if one changes while it runs, the step fails. What else the program reads, such as the
/// version of a library, and whether it gives the same twice, is its own affair.
///
/// Source: rule actions as in Make and Snakemake; the columns are those of `matrix` and of what
/// the engine's own ops make.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments. `{in.NAME}`, `{out.NAME}`, `{param.NAME}` and `{seed}` stand
    /// for paths and values.
    #[schemars(length(min = 1))]
    #[schemars(extend("examples" = [["cp", "{in.features}", "{out.features}"]]))]
    pub command: Vec<String>,
    /// The outputs: the kind of each by its name. A step's bare name means the output that
    /// the command names first.
    #[schemars(extend("examples" = [{ "features": "matrix" }]))]
    pub outputs: BTreeMap<String, Made>,
    /// Values for the program.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Files besides those in the command whose content decides what the program does, such as
    /// modules that a script imports.
    #[serde(default)]
    pub files: Vec<String>,
    /// Names of environment variables that the program sees besides the usual ones. Their values are
    /// not part of the key.
    #[serde(default)]
    pub env: Vec<String>,
    /// The environment it runs in: `{ python: requirements.txt }` (made by uv), `{ conda: environment.yaml }` (the
    /// environment that this file names, which must be there) or `{ container: image.sif }` (run by Apptainer; also a
    /// name such as `docker://python:3.13`). The content of the file is part of the key, of an image's name the name.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "python": "requirements.txt" }]))]
    pub environment: Option<Environment>,
}

/// The environment of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// A file of requirements or a lock file of Python packages, for uv.
    Python(String),
    /// A file that describes a conda environment.
    Conda(String),
    /// An image for Apptainer: a file, or a name such as `docker://python:3.13`.
    Container(String),
}

impl Environment {
    fn within(&self) -> ProgramEnvironment<'_> {
        match self {
            Self::Python(file) => ProgramEnvironment::Python(file),
            Self::Conda(file) => ProgramEnvironment::Conda(file),
            Self::Container(image) => ProgramEnvironment::Container(image),
        }
    }

    fn source(&self) -> Source {
        let (path, select) = match self {
            Self::Python(path) | Self::Conda(path) => (path, Select::File),
            Self::Container(path) => (path, Select::Mentioned),
        };
        let missing = "`environment` names the file that describes it; paths are relative to the folder the command runs in";
        Source { param: "environment", path: path.into(), select, missing: Some(missing) }
    }
}

/// All kinds, since a program may read anything.
const ANY: &[Kind] = &[
    Kind::Matrix,
    Kind::Spectrogram,
    Kind::Labels,
    Kind::Clips,
    Kind::Model,
    Kind::Scores,
    Kind::History,
    Kind::Diagnostics,
    Kind::Linkage,
    Kind::Skipped,
];

impl Command {
    fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.command.iter().flat_map(|argument| parts(argument))
    }

    /// The distinct names in the command, in their order.
    fn mentioned<'a>(&'a self, name: impl Fn(Part<'a>) -> Option<&'a str>) -> Vec<&'a str> {
        let mut names = Vec::new();
        for name in self.parts().filter_map(name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn reads(&self) -> Vec<&str> {
        self.mentioned(|part| if let Part::Input(name) = part { Some(name) } else { None })
    }

    fn makes(&self) -> Vec<&str> {
        self.mentioned(|part| if let Part::Output(name) = part { Some(name) } else { None })
    }

    /// The name of the program for messages.
    fn name(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// The format of an output that is a picture.
    fn picture(&self, output: &str) -> Option<PictureFormat> {
        self.outputs.get(output).and_then(|made| made.picture())
    }

    fn form(&self, output: &str) -> Form {
        self.picture(output).map_or(Form::Table, |format| Form::File {
            ending: format.ending(),
            at_most: picture::MAX_BYTES,
        })
    }

    fn check_params(&self) -> Result<(), OpError> {
        if self.name().is_empty() {
            return Err(OpError::param("command", "`command` names no program")
                .help("write a list: the program, then its arguments"));
        }
        let makes = self.makes();
        for name in &makes {
            if !self.outputs.contains_key(*name) {
                return Err(OpError::param(
                    "command",
                    format!("`{{out.{name}}}` is no output: `outputs` does not have it"),
                )
                .help(format!("add `{name}: KIND` to `outputs`, such as `{name}: matrix`")));
            }
        }
        if let Some(name) = self.outputs.keys().find(|name| !makes.contains(&name.as_str())) {
            return Err(OpError::param("outputs", format!("nothing makes the output `{name}`"))
                .help(format!(
                    "give its path to the program: write `{{out.{name}}}` in `command`"
                )));
        }
        if makes.is_empty() {
            return Err(OpError::param(
                "outputs",
                "`outputs` is empty: the step would make nothing",
            )
            .help("write `outputs: { latent: matrix }`, and `{out.latent}` in `command`"));
        }
        for name in self.mentioned(|part| if let Part::Param(it) = part { Some(it) } else { None })
        {
            if !self.params.contains_key(name) {
                let message = format!("`{{param.{name}}}` has no value in `params`");
                return Err(OpError::param("command", message)
                    .help(format!("add `params: {{ {name}: VALUE }}`")));
            }
        }
        let named = self.environment.as_ref().map(Environment::source);
        if named.is_some_and(|source| {
            source.path.to_string_lossy().starts_with(['-']) || source.path.as_os_str().is_empty()
        }) {
            return Err(OpError::param("environment", "`environment` names no file"));
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        match self.env.iter().find(|name| !is_name(name)) {
            Some(name) => {
                let message = format!("`{name}` is not the name of an environment variable");
                Err(OpError::param("env", message).help("write names, such as `env: [HF_HOME]`"))
            }
            None => Ok(()),
        }
    }

    fn piece<'a>(&'a self, part: Part<'a>, seed: u64) -> Piece<'a> {
        match part {
            Part::Text(text) => Piece::Text(text.to_owned()),
            Part::Input(name) => Piece::Input(name),
            Part::Output(name) => Piece::Output(name),
            Part::Seed => Piece::Text(seed.to_string()),
            Part::Param(name) => Piece::Text(match self.params.get(name) {
                Some(Value::String(text)) => text.clone(),
                value => value.map(Value::to_string).unwrap_or_default(),
            }),
        }
    }
}

impl Op for Command {
    const NAME: &'static str = "command";
    const TITLE: &'static str = "";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[];
    const DYNAMIC_PORTS: bool = true;
    const SEEDED: bool = true;
    const DETERMINISM: Determinism = Determinism::Tolerant;

    fn inputs(&self) -> &'static [Port] {
        let named: Vec<_> = self.reads().into_iter().map(|name| (name, ANY)).collect();
        ports::named(&named, "a file for the program")
    }

    fn outputs(&self) -> &'static [Port] {
        let kinds = |name| self.outputs.get(name).map_or(ANY, |made| made.kinds());
        let named: Vec<_> = self.makes().into_iter().map(|name| (name, kinds(name))).collect();
        ports::named(&named, "a file that the program makes")
    }

    fn sources(&self) -> Vec<Source> {
        let source = |param, path: &String, select, missing| Source {
            param,
            path: path.into(),
            select,
            missing,
        };
        let words = self.command.iter().filter(|word| matches!(parts(word)[..], [Part::Text(_)]));
        let mentioned = words.map(|word| source("command", word, Select::Mentioned, None));
        let missing = Some(
            "`files` lists files that the program needs; paths are relative to the folder the command runs in",
        );
        let listed = self.files.iter().map(|path| source("files", path, Select::File, missing));
        let environment = self.environment.as_ref().map(Environment::source);
        mentioned.chain(listed).chain(environment).collect()
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        let images = inputs.iter().flatten().any(|shape| shape.kind == Kind::Spectrogram);
        if !images && self.outputs.values().any(|made| *made == Made::Spectrogram) {
            let message = "a spectrogram is made from one, and no input is a spectrogram";
            return Err(OpError::param("outputs", message)
                .help("connect a spectrogram, or make the output a `matrix`"));
        }
        Ok(self.outputs().iter().map(|port| Shape::of(port.kinds[0])).collect())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        cx.stop_if_cancelled()?;
        let read = Op::inputs(self).iter().map(|port| Ok((port.name, inputs.get(port.name)?)));
        let read = read.collect::<Result<Vec<_>, OpError>>()?;
        let argument = |text| parts(text).into_iter().map(|part| self.piece(part, cx.seed));
        let params = serde_json::to_string(&self.params).expect("JSON values always serialise");
        let program = Program {
            command: self.command.iter().map(|text| argument(text).collect()).collect(),
            inputs: read.clone(),
            outputs: self.makes().into_iter().map(|name| (name, self.form(name))).collect(),
            within: self.environment.as_ref().map(Environment::within),
            variables: vec![("ENGINE_SEED", cx.seed.to_string()), ("ENGINE_PARAMS", params)],
            passed: &self.env,
            files: inputs.files(),
        };
        let made = cx.programs.run(&program, cx.cancel).map_err(|error| OpError {
            param: (error.kind == ErrorKind::Input).then_some("command"),
            ..error
        })?;
        let artifacts: Vec<_> = read.iter().map(|(_, artifact)| *artifact).collect();
        let mut outputs = Outputs::new();
        for (port, product) in self.outputs().iter().zip(made) {
            let (kind, format) = (port.kinds[0], self.picture(port.name));
            let artifact = match (product, format) {
                (Product::File(bytes), Some(format)) => picture::artifact(format, bytes),
                (Product::TooLong, Some(format)) => Err(picture::too_long(format)),
                (Product::Table(table), _) => made::artifact(kind, table, &artifacts)
                    .map_err(|reason| (reason, made::columns(kind))),
                _ => panic!("BUG: a file was read that is no picture"),
            };
            let artifact = artifact.map_err(|(reason, help)| {
                OpError::failure(format!("`{{out.{}}}` of `{}` {reason}", port.name, self.name()))
                    .help(help)
            })?;
            outputs = outputs.with(port.name, artifact);
        }
        Ok(outputs)
    }
}
