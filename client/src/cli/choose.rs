//! Choosing a survey, and asking before anything consequential. No coordinator chooses for the user.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use tercet_client::Error;
use tercet_client::consent;
use tercet_client::coordinator::Coordinator;
use tercet_client::inspect::printable;
use tercet_client::memory::Memory;
use tercet_protocol::ids::SurveyId;
use tercet_protocol::survey::SurveyDescriptor;

use super::output;

/// The memory of chosen surveys.
pub fn memory() -> Option<Memory> {
    let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let default = || {
        let base = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
        Some(base.join("tercet"))
    };
    folder("TERCET_CONFIG_DIR").or_else(default).map(Memory::at)
}

/// The named survey, or the one that was chosen at this coordinator before. The first time, the coordinator's surveys
/// are shown and the user is asked.
pub async fn choose(coordinator: &Coordinator, named: Option<SurveyId>) -> Result<SurveyDescriptor, Error> {
    if let Some(id) = named {
        return coordinator.survey(id).await;
    }
    let memory = memory();
    let url = coordinator.url().as_str();
    if let Some(memory) = &memory
        && let Some(id) = memory.chosen(url)?
    {
        return coordinator.survey(id).await;
    }
    let offered = coordinator.surveys().await?;
    let lines: Vec<_> =
        offered.iter().map(|s| printable(&format!("  {}  {}", s.id, s.title)).replace('\n', " ")).collect();
    let (Some(memory), [only], true) = (memory, offered.as_slice(), interactive()) else {
        let lines = if lines.is_empty() { "  none".into() } else { lines.join("\n") };
        return Err(Error::Usage(format!(
            "name the survey with --survey ID, as its owner told you: no coordinator chooses for you. This one has:\n{lines}"
        )));
    };
    let survey = coordinator.survey(only.id).await?;
    let deployment = coordinator.deployment(survey).await?;
    output::note("You have not used this coordinator before. It has one survey:\n");
    output::note(&printable(&consent::identity_text(&deployment)));
    output::note(
        "Compare the survey's id with what its owner told you, by another way than from this coordinator.",
    );
    ask("Use this survey from now on?", "no survey was chosen")?;
    memory.remember(url, &deployment.survey)?;
    Ok(deployment.survey)
}

/// Asks a question that must be answered with yes.
pub fn ask(question: &str, otherwise: &'static str) -> Result<(), Error> {
    if !interactive() {
        return Err(Error::Usage(format!(
            "nobody is there to be asked \"{question}\": give --yes if the answer is yes"
        )));
    }
    output::prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|source| Error::Io {
        what: "cannot read",
        path: "standard input".into(),
        source,
    })?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::Declined(otherwise)),
    }
}

/// True if a person reads the output and can answer.
fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
