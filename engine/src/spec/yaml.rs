//! Parses YAML to a tree, in bounded time and memory for any text.

use super::{
    context::Context,
    node::{Key, Node, Value},
    scalar, yaml_errors,
};
use crate::{
    model::Span,
    ui::diagnostic::{Diagnostic, quote},
};
use foldhash::{HashSet, HashSetExt as _};
use granit_parser::{Event, Parser, ScalarStyle, Span as Mark, Tag, options};
use std::collections::HashMap;

/// The longest pipeline file, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The most nested lists and maps.
const MAX_DEPTH: usize = 32;
/// The most bytes of memory that a tree may take; aliases copy, so a short text can make a huge
/// tree.
const MAX_WEIGHT: usize = 16 << 20;
/// The bytes of memory that a list or a map takes without its entries.
const CONTAINER_WEIGHT: usize = 64;

/// Parses a tree; `None` if the text is not YAML.
pub fn parse(cx: &mut Context) -> Option<Node> {
    let source = cx.source.clone();
    if source.text.len() > MAX_BYTES {
        cx.push(
            Diagnostic::error(
                "spec::too_large",
                format!("the file has {} bytes: no pipeline is that long", source.text.len()),
            )
            .help("a pipeline file has at most 1 MiB; is this a data file?"),
        );
        return None;
    }
    let mut options = options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(&source.text, options) {
        let stop = match event {
            Ok((event, mark)) => builder.event(cx, event, &mark),
            Err(error) => Err(yaml_errors::explain(&source.text, &error)),
        };
        if let Err(diagnostic) = stop {
            cx.push(diagnostic);
            return None;
        }
    }
    match builder.root {
        Some(Node { value: Value::Null, .. }) | None => {
            cx.push(
                Diagnostic::error("spec::empty", "the file holds no pipeline")
                    .help("a pipeline has at least `steps:`; see pipelines/quickstart.yaml"),
            );
            None
        }
        root => root,
    }
}

/// Builds the tree: the lists and maps that are still open, and the nodes with anchors.
#[derive(Default)]
struct Builder {
    open: Vec<OpenNode>,
    anchors: HashMap<usize, Node>,
    weight: usize,
    documents: usize,
    root: Option<Node>,
}

struct OpenNode {
    start: usize,
    anchor: usize,
    children: Children,
}

enum Children {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, names: HashSet<String>, key: Option<Key> },
}

impl Builder {
    /// Handles one event; an error ends the parse.
    fn event(&mut self, cx: &mut Context, event: Event<'_>, mark: &Mark) -> Result<(), Diagnostic> {
        let span = mark.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Diagnostic::error(
                        "spec::several_documents",
                        "a pipeline file holds one document",
                    )
                    .label(span, "a second one starts here")
                    .help("remove the `---`, or put the rest into a file of its own"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = refuse_tag(tag.as_deref(), &span)? || style != ScalarStyle::Plain;
                let value =
                    if as_text { Value::Text(text.into_owned()) } else { scalar::resolve(&text) };
                let node = Node::new(value, span);
                let weight = node.weight();
                self.finished(cx, node, anchor, weight)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_tag(tag.as_deref(), &span)?;
                self.open(span, anchor, Children::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_tag(tag.as_deref(), &span)?;
                let (entries, names) = (Vec::new(), HashSet::new());
                self.open(span, anchor, Children::Map { entries, names, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(cx, span.end),
            Event::Alias(id) => {
                let mut node = self.anchors.get(&id).cloned().ok_or_else(|| {
                    Diagnostic::error("spec::alias", "an anchor cannot hold an alias of itself")
                        .label(span.clone(), "this would never end")
                })?;
                if self.open.len() + node.depth() > MAX_DEPTH {
                    return Err(too_deep(span));
                }
                node.span = span;
                let weight = node.weight();
                self.finished(cx, node, 0, weight)
            }
            Event::UnresolvedAlias(name) => {
                let message = format!("there is no anchor {}", quote(&name));
                Err(Diagnostic::error("spec::alias", message)
                    .label(span, "`*` refers to an anchor written with `&` before it")
                    .help("if the text is meant to begin with `*`, put it in quotes"))
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, span: Span, anchor: usize, children: Children) -> Result<(), Diagnostic> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(span));
        }
        if self.key_expected() {
            return Err(Diagnostic::error("spec::key", "a key must be a single word")
                .label(span, "a list or map cannot be a key")
                .help("a text that begins with `[` or `{` needs quotes"));
        }
        self.open.push(OpenNode { start: span.start, anchor, children });
        Ok(())
    }

    fn key_expected(&self) -> bool {
        matches!(self.open.last(), Some(OpenNode { children: Children::Map { key: None, .. }, .. }))
    }

    fn close(&mut self, cx: &mut Context, end: usize) -> Result<(), Diagnostic> {
        let open = self.open.pop().expect("the parser closes only what it opened");
        let value = match open.children {
            Children::List(items) => Value::List(items),
            Children::Map { entries, .. } => Value::Map(merged(entries)?),
        };
        let node = Node::new(value, open.start..end.max(open.start));
        // The children were counted when they were read; an anchor keeps a copy of all of them.
        let weight = if open.anchor == 0 { CONTAINER_WEIGHT } else { node.weight() };
        self.finished(cx, node, open.anchor, weight)
    }

    /// Adds a finished node to the list or map that is open.
    fn finished(
        &mut self,
        cx: &mut Context,
        node: Node,
        anchor: usize,
        weight: usize,
    ) -> Result<(), Diagnostic> {
        self.weight += weight;
        if self.weight > MAX_WEIGHT {
            return Err(Diagnostic::error("spec::too_large", "the pipeline grows without bound")
                .label(node.span, "aliases multiply what they refer to")
                .help("write it without aliases (`*name`)"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.root = Some(node),
            Some(Children::List(items)) => items.push(node),
            Some(Children::Map { entries, names, key }) => match key.take() {
                Some(name) => {
                    if is_given(entries, names, &name.name) {
                        duplicate(cx, &name, entries);
                    } else {
                        entries.push((name, node));
                    }
                }
                None => *key = Some(as_key(cx, node)?),
            },
        }
        Ok(())
    }
}

/// True if a map has a key already. Most maps are small, where a search is quicker than a hash.
fn is_given(entries: &[(Key, Node)], names: &mut HashSet<String>, name: &str) -> bool {
    const FEW: usize = 16;
    if entries.len() < FEW {
        return entries.iter().any(|(key, _)| key.name == name);
    }
    if names.is_empty() {
        names.extend(entries.iter().map(|(key, _)| key.name.clone()));
    }
    !names.insert(name.to_owned())
}

fn as_key(cx: &Context, node: Node) -> Result<Key, Diagnostic> {
    // The text of a key is its name, so `1:` and `true:` are names too.
    let written = cx.source.text.get(node.span.clone()).unwrap_or_default().to_owned();
    let name = match node.value {
        Value::Text(text) => text,
        Value::List(_) | Value::Map(_) => {
            return Err(Diagnostic::error("spec::key", "a key must be a single word")
                .label(node.span, "a list or map cannot be a key"));
        }
        _ => written,
    };
    Ok(Key { name, span: node.span, origin: None })
}

fn duplicate(cx: &mut Context, key: &Key, entries: &[(Key, Node)]) {
    let mut diagnostic =
        Diagnostic::error("spec::duplicate_key", format!("{} is given twice", quote(&key.name)))
            .at_key(key, "again here");
    if let Some((first, _)) = entries.iter().find(|(first, _)| first.name == key.name) {
        diagnostic = diagnostic.label(first.span.clone(), "first given here");
    }
    let help = match key.name.as_str() {
        "<<" => "write several maps as a list: `<<: [*one, *two]`",
        _ => "keep one of them, or rename one",
    };
    cx.push(diagnostic.help(help));
}

/// Adds the entries of `<<: *base` that the map itself does not have.
fn merged(entries: Vec<(Key, Node)>) -> Result<Vec<(Key, Node)>, Diagnostic> {
    if !entries.iter().any(|(key, _)| key.name == "<<") {
        return Ok(entries);
    }
    let (mut own, mut bases) = (Vec::new(), Vec::new());
    for (key, node) in entries {
        match (key.name.as_str(), node.value) {
            ("<<", Value::List(items)) => {
                items.into_iter().try_for_each(|item| add_base(item, &mut bases))?;
            }
            ("<<", value) => add_base(Node { value, ..node }, &mut bases)?,
            (_, value) => own.push((key, Node { value, ..node })),
        }
    }
    let mut given: HashSet<String> = own.iter().map(|(key, _)| key.name.clone()).collect();
    bases.retain(|(key, _)| given.insert(key.name.clone()));
    own.extend(bases);
    Ok(own)
}

/// Adds the entries of a map behind `<<`; of several maps, the first that has a key gives its
/// value.
fn add_base(node: Node, bases: &mut Vec<(Key, Node)>) -> Result<(), Diagnostic> {
    let Value::Map(base) = node.value else {
        return Err(Diagnostic::error("spec::merge", "`<<` takes a map, or a list of maps")
            .label(node.span, "this is not one")
            .help("write `<<: *name` or `<<: [*one, *two]`, where `&name` marks a map before it"));
    };
    bases.extend(base);
    Ok(())
}

/// True for `!!str`, which marks a scalar as text. Any other tag is an error.
fn refuse_tag(tag: Option<&Tag>, span: &Span) -> Result<bool, Diagnostic> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
        Some(tag) => {
            Err(Diagnostic::error("spec::tag", format!("tags such as `{tag}` mean nothing here"))
                .label(span.clone(), "this has a tag")
                .help("remove the tag; a text that begins with `!` needs quotes"))
        }
    }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error("spec::too_deep", "lists and maps are nested too deeply")
        .label(span, format!("more than {MAX_DEPTH} levels"))
        .help("is a closing bracket missing?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SourceText;
    use std::sync::Arc;

    fn read(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
        let source = SourceText::new("a.yaml".into(), text.to_owned());
        let mut cx = Context::new(Arc::new(source));
        (parse(&mut cx), cx.diagnostics)
    }

    fn spans(node: &Node, text: &str, out: &mut Vec<String>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| spans(item, text, out)),
            Value::Map(entries) => entries.iter().for_each(|(key, item)| {
                out.push(text[key.span.clone()].to_owned());
                spans(item, text, out);
            }),
            _ => out.push(text[node.span.clone()].to_owned()),
        }
    }

    #[test]
    fn every_key_and_scalar_knows_its_bytes() {
        let text = "\u{feff}# é\na: { b: [1, 'é', \"x\"], \"c d\": é }\ne:\n  - f: |\n      g\n";
        let (root, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut found = Vec::new();
        spans(&root.expect("a tree"), text, &mut found);
        assert_eq!(found[..9], ["a", "b", "1", "'é'", "\"x\"", "\"c d\"", "é", "e", "f"]);
    }

    #[test]
    fn merge_keys_fill_in_what_is_missing() {
        let (root, diagnostics) = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n");
        assert!(diagnostics.is_empty());
        let shown = format!("{:?}", root.expect("a tree").value);
        assert!(shown.contains("Int(3)") && shown.matches("Int(1)").count() == 2);
    }

    #[test]
    fn of_several_merged_maps_the_first_wins_and_what_is_given_before_all() {
        let json = |text: &str| {
            let (root, diagnostics) = read(text);
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            root.expect("a tree").json()["c"].to_string()
        };
        let bases = "a: &a {x: 1, y: 2}\nb: &b {x: 3, z: 4, w: 5}\n";
        let merged = r#"{"w":0,"x":1,"y":2,"z":4}"#;
        assert_eq!(json(&format!("{bases}c: {{<<: [*a, *b], w: 0}}\n")), merged);
        assert_eq!(json(&format!("{bases}c:\n  w: 0\n  <<:\n    - *a\n    - *b\n")), merged);
        assert_eq!(json(&format!("{bases}c: {{<<: [*a, {{v: 6}}]}}\n")), r#"{"x":1,"y":2,"v":6}"#);
        assert_eq!(json(&format!("{bases}c: {{<<: []}}\n")), "{}");
        for wrong in ["c: {<<: [*a, 3]}\n", "c: {<<: [[*a]]}\n", "c: {<<: x}\n", "c: {<<: }\n"] {
            let (root, diagnostics) = read(&format!("{bases}{wrong}"));
            assert!(
                root.is_none() && diagnostics[0].code == "spec::merge",
                "{wrong}: {diagnostics:?}"
            );
        }
        let (_, diagnostics) = read(&format!("{bases}c:\n  <<: *a\n  <<: *b\n"));
        assert!(diagnostics[0].help.as_deref().is_some_and(|it| it.contains("[*one, *two]")));
    }

    #[test]
    fn explosions_and_depths_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        let deep = format!("a: {}", "[".repeat(10_000));
        let block: String = (0..10_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        let block = block[..MAX_BYTES - 1].to_owned();
        let huge = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a, ".repeat(100_000));
        let maps = format!("a: {}", "{a: ".repeat(10_000));
        let dashes = "- ".repeat(10_000);
        let ladder: String =
            (1..40).map(|level| format!("b{level}: &b{level} [[[[*b{}]]]]\n", level - 1)).collect();
        let ladder = format!("b0: &b0 [1]\n{ladder}");
        let too_long = "x".repeat(MAX_BYTES + 1);
        for text in [bomb, deep, block, huge, maps, dashes, ladder, too_long] {
            let start = std::time::Instant::now();
            let (root, diagnostics) = read(&text);
            assert!(root.is_none() && diagnostics.len() == 1, "{diagnostics:?}");
            assert!(start.elapsed().as_secs() < 20, "{diagnostics:?}");
        }
    }

    #[test]
    fn an_anchor_within_itself_is_refused() {
        let (root, diagnostics) = read("a: &a [*a]\n");
        assert!(root.is_none() && diagnostics.len() == 1);
    }
}
