//! Results on stdout, everything else on stderr; progress only where somebody watches.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use tercet_client::Error;
use tercet_client::inspect::printable;
use zeroize::Zeroizing;

/// Set if something could not be written to stdout: the command must then not end as if all were well.
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Writes to stdout. A reader that went away (`| head`) is no error; anything else is, and the command's status says so.
pub fn text(text: &str) {
    let written = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    if let Err(e) = written
        && e.kind() != std::io::ErrorKind::BrokenPipe
    {
        INCOMPLETE.store(true, Ordering::Relaxed);
        note(&format!("error (io): the output is incomplete: cannot write to standard output: {e}"));
    }
}

/// True if everything written to stdout arrived.
pub fn complete() -> bool {
    !INCOMPLETE.load(Ordering::Relaxed)
}

/// A question on stderr, without a line end.
pub fn prompt(question: &str) {
    let _ = write!(std::io::stderr(), "{question}").and_then(|()| std::io::stderr().flush());
}

/// Writes one JSON object and a line end.
pub fn json<T: Serialize>(value: &T) -> Result<(), Error> {
    let json =
        serde_json::to_string(value).map_err(|e| Error::Usage(format!("the result is not JSON: {e}")))?;
    text(&format!("{json}\n"));
    Ok(())
}

/// A note on stderr.
pub fn note(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// The reason of a failure: on stderr in words, and with `--json` on stdout as an object.
pub fn error(error: &Error, as_json: bool, inspecting: bool) {
    let refused = inspecting && error.exit_status() == 1;
    // Parts of the message may come from a server or a file.
    let message = printable(error.to_string().trim_end());
    if as_json {
        let value = if refused {
            json!({"verdict": "refused", "code": error.code(), "reason": message})
        } else {
            let mut inner = json!({"code": error.code(), "message": message});
            if let (Error::Refused { problem, .. }, Value::Object(map)) = (error, &mut inner) {
                map.insert("problem".into(), json!(problem));
            }
            json!({"error": inner})
        };
        text(&format!("{value}\n"));
    }
    let hint = hint(error).map(|h| format!("\nhint: {h}")).unwrap_or_default();
    match refused {
        true => note(&format!("refused ({}): {message}", error.code())),
        false => note(&format!("error ({}): {message}{hint}", error.code())),
    }
}

fn hint(error: &Error) -> Option<String> {
    if let Error::Unconfirmed { cause, .. } = error {
        return hint(cause);
    }
    if let Error::Refused { problem, .. } = error
        && let Some(seconds) = problem.retry_after
    {
        return Some(format!("try again in {seconds} s"));
    }
    let hint = match error.code().as_str() {
        "too-few-new" | "cohort-too-small" => {
            Some("tercet published shows the statistics of the newest release point")
        }
        "nothing-released" => Some("tercet survey check tells how often the survey makes a release point"),
        "identity-used" => Some("the survey counts each person once; nothing more is to be done"),
        "incomplete" => Some("send the same files again: they give a fresh submission"),
        "policy-violated" | "presentation-invalid" => {
            Some("tercet inspect shows what the presentation proves")
        }
        _ => None,
    };
    hint.map(str::to_owned)
}

/// Asks for one line where somebody can answer; a secret is typed unseen. `None` if nobody can answer, or nothing was
/// typed.
pub fn ask(label: &str, secret: bool) -> Option<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let terminal = console::Term::stderr();
    prompt(&printable(&format!("{label}: ")));
    let line = if secret { terminal.read_secure_line() } else { terminal.read_line() };
    line.ok().map(|l| Zeroizing::new(l.trim().to_owned())).filter(|l| !l.is_empty())
}

/// A spinner or bar on stderr, if that is a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// A spinner with a message.
    pub fn spinner(message: &str) -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar.set_message(message.to_owned());
        Self(bar)
    }

    /// Changes the message.
    pub fn message(&self, message: String) {
        self.0.set_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
