//! Reads a pipeline with the files that it includes: their variables and steps lie under its own.

use super::{
    context::Context,
    node::{Key, Node, Value},
    yaml,
};
use crate::{
    model::{SourceText, Span},
    ui::diagnostic::{Diagnostic, listed, quote},
};
use cache::store::plain;
use std::{
    collections::HashSet,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The key of a pipeline that names other files.
const INCLUDE: &str = "include";
/// The code of its faults.
const CODE: &str = "spec::include";
/// The sections of an included file.
const SECTIONS: [&str; 3] = [INCLUDE, "vars", "steps"];
/// The most files of one pipeline, and the most that include each other in turn.
const MAX_FILES: usize = 64;
const DEEPEST: usize = 16;
/// The most bytes of all files of one pipeline.
const MAX_BYTES: usize = 4 << 20;

/// Reads the bytes of a file that is no longer than so many bytes.
pub type Reader<'r> = &'r dyn Fn(&Path, u64) -> io::Result<Vec<u8>>;

/// A pipeline as one tree, with all texts that it was made of.
pub struct PipelineTree {
    /// The texts.
    pub source: SourceText,
    /// The tree, if the pipeline's own file is YAML.
    pub root: Option<Node>,
    /// The faults of all files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the tree of a pipeline and of all files that it includes.
pub fn read_tree(path: &Path, text: String, read: Reader<'_>) -> PipelineTree {
    let source = SourceText::new(path.to_owned(), text.clone());
    let mut files = Files {
        source,
        diagnostics: Vec::new(),
        read,
        open: Vec::new(),
        done: HashSet::new(),
        is_broken: false,
    };
    let root = files.tree(path, text, 0).map(|root| files.whole(path, root));
    // What depends on an absent file would be reported as further faults.
    let is_whole = !files.is_broken && files.diagnostics.iter().all(|error| error.code != CODE);
    let root = root.filter(|_| is_whole);
    PipelineTree { source: files.source, root, diagnostics: files.diagnostics }
}

/// The variables and the steps of files.
#[derive(Default)]
struct Parts {
    vars: Vec<(Key, Node)>,
    steps: Vec<(Key, Node)>,
}

struct Files<'r> {
    source: SourceText,
    diagnostics: Vec<Diagnostic>,
    read: Reader<'r>,
    /// The files that are being read, each included by the one before it.
    open: Vec<PathBuf>,
    done: HashSet<PathBuf>,
    /// True if an included file is no YAML.
    is_broken: bool,
}

impl Files<'_> {
    /// The tree of a file whose text begins at `start` of all texts.
    fn tree(&mut self, path: &Path, text: String, start: usize) -> Option<Node> {
        let mut cx = Context::new(Arc::new(SourceText::new(path.to_owned(), text)));
        let mut root = yaml::parse(&mut cx);
        for mut error in cx.diagnostics {
            error.labels.iter_mut().for_each(|(span, _)| shift(span, start));
            self.diagnostics.push(error);
        }
        root.iter_mut().for_each(|root| move_tree(root, start));
        root
    }

    /// The tree of the pipeline over those that it includes.
    fn whole(&mut self, path: &Path, root: Node) -> Node {
        let Node { value: Value::Map(mut entries), span, .. } = root else { return root };
        let Some(at) = entries.iter().position(|(key, _)| key.name == INCLUDE) else {
            return Node::new(Value::Map(entries), span);
        };
        let (key, list) = entries.remove(at);
        self.open.push(clean(path));
        let Parts { vars, steps } = self.included(path, &key, &list);
        for (section, base) in [("vars", vars), ("steps", steps)] {
            if base.is_empty() {
                continue;
            }
            let own = entries.iter_mut().find(|(key, _)| key.name == section);
            match own.map(|(_, node)| node) {
                Some(Node { value: Value::Map(own), .. }) => {
                    *own = merged_over(base, std::mem::take(own), section == "steps");
                }
                // Anything else is reported when the section is read.
                Some(node) if !matches!(node.value, Value::Null) => {}
                Some(node) => node.value = Value::Map(base),
                None => {
                    let key = Key { name: section.to_owned(), ..key.clone() };
                    entries.push((key, Node::new(Value::Map(base), list.span.clone())));
                }
            }
        }
        Node::new(Value::Map(entries), span)
    }

    /// The parts of all files of an `include`, which no two of them have both.
    fn included(&mut self, path: &Path, key: &Key, list: &Node) -> Parts {
        let items = match &list.value {
            Value::List(items) => &items[..],
            _ => std::slice::from_ref(list),
        };
        let mut all = Parts::default();
        for item in items {
            let Some(name) = item.text().map(str::trim).filter(|name| !name.is_empty()) else {
                if !item.is_faulty() {
                    let message =
                        format!("`include` takes paths of YAML files, not {}", item.describe());
                    self.diagnostics.push(
                        Diagnostic::error(CODE, message)
                            .at_key(key, "")
                            .label(item.span.clone(), "no path")
                            .help("write `include: [features.yaml]`"),
                    );
                }
                continue;
            };
            let folder = path.parent().unwrap_or(Path::new(""));
            let Some(parts) = self.file(&folder.join(name), name, &item.span) else {
                continue;
            };
            for (all, own) in [(&mut all.vars, parts.vars), (&mut all.steps, parts.steps)] {
                for (key, node) in own {
                    match all.iter().find(|(known, _)| known.name == key.name) {
                        None => all.push((key, node)),
                        Some((known, _)) => self.diagnostics.push(duplicate(known, &key)),
                    }
                }
            }
        }
        all
    }

    /// The parts of one file with those that it includes; none if it cannot be read, or was before.
    fn file(&mut self, path: &Path, name: &str, span: &Span) -> Option<Parts> {
        let error = |message: String| Diagnostic::error(CODE, message);
        let known = clean(path);
        if let Some(at) = self.open.iter().position(|open| *open == known) {
            let mut chain: Vec<String> =
                self.open[at..].iter().map(|path| path.display().to_string()).collect();
            chain.push(known.display().to_string());
            let message = format!("{} includes itself", quote(name));
            let way = format!("the way is {}", listed(&chain, "and"));
            self.diagnostics.push(error(message).label(span.clone(), "this never ends").help(way));
            return None;
        }
        if !self.done.insert(known.clone()) {
            return None;
        }
        let refused = match (self.read)(path, yaml::MAX_BYTES as u64) {
            _ if self.done.len() >= MAX_FILES => {
                Err(format!("the pipeline includes more than {} files", MAX_FILES - 1))
            }
            _ if self.open.len() >= DEEPEST => {
                Err(format!("more than {DEEPEST} files include each other in turn"))
            }
            Ok(bytes) => String::from_utf8(bytes).map_err(|error| {
                let byte = error.utf8_error().valid_up_to() + 1;
                format!("the included file {} is not UTF-8 (byte {byte})", quote(name))
            }),
            Err(why) => {
                let why = match why.kind() {
                    io::ErrorKind::NotFound => "it does not exist".to_owned(),
                    io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
                    io::ErrorKind::FileTooLarge => {
                        format!("it is longer than {} MiB", yaml::MAX_BYTES >> 20)
                    }
                    _ => plain(&why),
                };
                Err(format!("cannot read the included file {}: {why}", quote(name)))
            }
        };
        let room = MAX_BYTES.saturating_sub(self.source.text.len());
        let refused = refused.and_then(|text| match text.len() <= room {
            true => Ok(text),
            false => {
                Err(format!("the files of the pipeline are longer than {} MiB", MAX_BYTES >> 20))
            }
        });
        let text = match refused {
            Ok(text) => text,
            Err(message) => {
                let help = match name.contains("${") {
                    true => "variables are not known yet where files are included".to_owned(),
                    false => format!(
                        "paths count from the folder of the file that names them: this is `{}`",
                        path.display()
                    ),
                };
                self.diagnostics.push(error(message).label(span.clone(), "named here").help(help));
                return None;
            }
        };
        self.source.text.push('\n');
        let start = self.source.text.len();
        self.source.text.push_str(&text);
        self.source.included.push((path.to_owned(), start));
        let root = self.tree(path, text, start);
        self.is_broken |= root.is_none();
        let root = root?;
        self.open.push(known);
        let parts = self.parts(path, root);
        self.open.pop();
        Some(parts)
    }

    /// The parts in the tree of an included file, over those that it includes itself.
    fn parts(&mut self, path: &Path, root: Node) -> Parts {
        let describe = root.describe();
        let Value::Map(entries) = root.value else {
            self.diagnostics.push(
                Diagnostic::error(CODE, "an included file is a map with `steps:` in it")
                    .label(root.span.start..root.span.start, format!("this is {describe}")),
            );
            return Parts::default();
        };
        let (mut base, mut own) = (Parts::default(), Parts::default());
        for (key, node) in entries {
            let describe = node.describe();
            match (key.name.as_str(), node.value) {
                (INCLUDE, value) => {
                    base = self.included(
                        path,
                        &key,
                        &Node { value, ..Node::new(Value::Null, node.span) },
                    );
                }
                ("vars", Value::Map(entries)) => own.vars = entries,
                ("steps", Value::Map(entries)) => own.steps = entries,
                ("vars" | "steps", Value::Null | Value::Faulty) => {}
                ("vars" | "steps", _) => self.diagnostics.push(
                    Diagnostic::error(CODE, format!("`{}` must be a map", key.name))
                        .at_key(&key, format!("this holds {describe}")),
                ),
                _ => self.diagnostics.push(
                    Diagnostic::error(
                        CODE,
                        format!("an included file has no section {}", quote(&key.name)),
                    )
                    .at_key(&key, "not here")
                    .help(format!(
                        "it may have {}; all else is said by the pipeline that includes it",
                        listed(&SECTIONS, "and")
                    )),
                ),
            }
        }
        Parts {
            vars: merged_over(base.vars, own.vars, false),
            steps: merged_over(base.steps, own.steps, true),
        }
    }
}

/// Entries over those below them: an entry that both have is that of the file above. Of steps, only the keys
/// that the file above gives.
fn merged_over(mut base: Vec<(Key, Node)>, own: Vec<(Key, Node)>, steps: bool) -> Vec<(Key, Node)> {
    for (key, node) in own {
        match base.iter_mut().find(|(known, _)| known.name == key.name) {
            None => base.push((key, node)),
            Some((_, below)) => match (&mut below.value, node.value) {
                (Value::Map(fields), Value::Map(above)) if steps => {
                    *fields = merged_over(std::mem::take(fields), above, false);
                }
                (_, value) => *below = Node { value, ..node },
            },
        }
    }
    base
}

fn duplicate(first: &Key, again: &Key) -> Diagnostic {
    let message = format!("two included files have {}", quote(&again.name));
    Diagnostic::error(CODE, message)
        .at_key(again, "again here")
        .label(first.span.clone(), "first here")
        .help(
            "rename one of them, or let one of the files include the other and change what differs",
        )
}

fn shift(span: &mut Span, by: usize) {
    *span = span.start + by..span.end + by;
}

/// Moves all places of a tree.
fn move_tree(node: &mut Node, by: usize) {
    if by == 0 {
        return;
    }
    shift(&mut node.span, by);
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|item| move_tree(item, by)),
        Value::Map(entries) => entries.iter_mut().for_each(|(key, item)| {
            shift(&mut key.span, by);
            move_tree(item, by);
        }),
        _ => {}
    }
}

/// A path without `.` and without `..` behind the name of a folder, so that a file has one name however it
/// is included.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match (part, out.components().next_back()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(out.pop()),
            _ => out.push(part),
        }
    }
    out
}
