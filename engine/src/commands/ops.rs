//! `engine ops` and `engine schema`: the reference of ops and the schema of pipelines.

use crate::{
    catalog,
    cli::{BAD_INPUT, CommandError, print},
    schema as pipeline_schema,
    ui::suggest,
};

/// Lists the ops, or describes one.
///
/// # Errors
/// Returns the exit code if there is no such op.
pub fn ops(name: Option<&str>) -> Result<(), CommandError> {
    let Some(name) = name else {
        print(&catalog::list());
        return Ok(());
    };
    let Some(entry) = ::ops::find(name) else {
        let names = ::ops::OPS.iter().map(|entry| entry.name);
        let hint = suggest::closest(name, names).map_or_else(
            || "; `engine ops` lists them".to_owned(),
            |near| format!("; did you mean `{near}`?"),
        );
        return Err(CommandError::new(BAD_INPUT, format!("there is no op `{name}`{hint}")));
    };
    print(&catalog::page(entry));
    Ok(())
}

/// Prints the JSON schema of pipelines.
///
/// # Errors
/// The function never fails.
pub fn schema() -> Result<(), CommandError> {
    print(&pipeline_schema::text());
    Ok(())
}
