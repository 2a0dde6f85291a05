//! `engine help`: the help of a command, or what a part of a pipeline may say.

use crate::{
    cli::{BAD_INPUT, CommandError, print},
    spec::{
        FIGURE_KEYS, PAPER_KEYS, REPORT_KEYS, RESOURCE_KEYS, ROW_KEYS, STEP_KEYS, SWEEP_KEYS,
        samplers::{Keys, SAMPLERS},
    },
    ui::{
        fold::{self, paragraph},
        suggest,
    },
};
use reports::figures::{FIGURES, STYLE, Setting};

/// A part of a pipeline, and the text about it.
struct Topic {
    name: &'static str,
    text: fn() -> String,
}

const TOPICS: &[Topic] = &[
    Topic { name: "figures", text: figures },
    Topic { name: "report", text: report },
    Topic { name: "step", text: step },
    Topic { name: "sweep", text: sweep },
];

/// Prints the help of the command with these words, and what the topic of that name may say.
///
/// # Errors
/// Returns the exit code if there is neither a command nor a topic of that name.
pub fn help(words: &[String], whole: clap::Command) -> Result<(), CommandError> {
    let topic = match words {
        [name] => TOPICS.iter().find(|topic| topic.name == name),
        _ => None,
    };
    let hidden = words.first().and_then(|word| whole.find_subcommand(word));
    let own = (!hidden.is_some_and(clap::Command::is_hide_set)).then(|| of_command(words, &whole));
    let own = own.flatten();
    let parts: Vec<String> = own.into_iter().chain(topic.map(|topic| (topic.text)())).collect();
    if parts.is_empty() {
        return Err(unknown(&words.join(" "), &whole));
    }
    print(&parts.join("\n"));
    Ok(())
}

/// The output of `--help` for the command with these words; `None` if there is no such command.
fn of_command(words: &[String], whole: &clap::Command) -> Option<String> {
    let typed = ["engine"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    let shown = whole.clone().try_get_matches_from(typed).err()?;
    (shown.kind() == clap::error::ErrorKind::DisplayHelp).then(|| shown.render().to_string())
}

fn unknown(name: &str, whole: &clap::Command) -> CommandError {
    let commands = whole.get_subcommands().filter(|it| !it.is_hide_set()).map(|it| it.get_name());
    let help = match suggest::closest(name, commands.chain(TOPICS.iter().map(|it| it.name))) {
        Some(near) => format!("did you mean `engine help {near}`?"),
        None => "`engine help` lists the commands".to_owned(),
    };
    CommandError::new(BAD_INPUT, format!("there is no help about `{name}`; {help}"))
}

fn figures() -> String {
    let mut out =
        text("Figures of a report: `report: { figures: [{ figure: scatter, of: map }] }`.");
    part(&mut out, "Every figure", FIGURE_KEYS);
    out.push_str("\nEvery figure but a picture\n");
    settings(&mut out, STYLE);
    for kind in FIGURES {
        out.push_str(&format!("\n{}\n{}", kind.name, paragraph("  ", kind.doc, fold::width())));
        for role in kind.roles {
            let kinds: Vec<&str> = role.kinds.iter().map(|kind| kind.name()).collect();
            let optional = if role.is_optional { ", optional" } else { "" };
            let several = if role.takes_many { ", one or several" } else { "" };
            let head = format!("{} ({}{several}{optional})", role.name, kinds.join(" or "));
            entry(&mut out, &head, role.doc);
        }
        settings(&mut out, kind.settings);
    }
    out
}

fn settings(out: &mut String, settings: &[Setting]) {
    for setting in settings {
        let expected = setting.expected.described();
        entry(out, &format!("{} ({expected}, optional)", setting.name), setting.doc);
    }
}

fn report() -> String {
    let mut out = text("In a pipeline, `report` says what the report shows.");
    part(&mut out, "report", REPORT_KEYS);
    part(&mut out, "A row of its table", ROW_KEYS);
    part(&mut out, "What `paper` says besides metrics", PAPER_KEYS);
    out.push_str("\n`engine help figures` describes the figures.\n");
    out
}

fn step() -> String {
    let mut out = text("A step of a pipeline: `NAME: { op: pca, in: norm, components: 16 }`.");
    part(&mut out, "Every step", STEP_KEYS);
    part(&mut out, "What `resources` says", RESOURCE_KEYS);
    out.push_str("\nA step also has the parameters of its op: `engine ops NAME` describes them.\n");
    out
}

fn sweep() -> String {
    let mut out = text(
        "A sweep varies parameters of steps (`vae.beta`), of instances (`groups@pca.clusters`) and variables. It has one \
         of these samplers.",
    );
    for sampler in SAMPLERS {
        out.push_str(&format!(
            "\n{}\n{}",
            sampler.name,
            paragraph("  ", sampler.doc, fold::width())
        ));
        let Keys::Settings(settings) = sampler.keys else { continue };
        for setting in settings {
            let needed = if setting.required { " (required)" } else { "" };
            entry(&mut out, &format!("{}{needed}", setting.name), setting.doc);
        }
    }
    part(&mut out, "Beside the sampler", SWEEP_KEYS);
    out
}

fn text(text: &str) -> String {
    paragraph("", text, fold::width())
}

/// Appends a part with its title and keys.
fn part(out: &mut String, title: &str, keys: &[(&str, &str)]) {
    out.push_str(&format!("\n{title}\n"));
    for (name, doc) in keys {
        entry(out, name, doc);
    }
}

fn entry(out: &mut String, head: &str, doc: &str) {
    let width = fold::width();
    out.push_str(&paragraph("  ", head, width));
    out.push_str(&paragraph("      ", doc, width));
}
