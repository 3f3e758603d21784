//! A browser's "copy as cURL": a request as a command, of which the provider's own headers are taken.

use zeroize::Zeroizing;

use super::request::text;
use crate::error::Error;
use crate::notarize::Headers;

/// The content of a browser's "copy as cURL": the address, and the headers that the survey admits.
#[derive(Debug)]
pub struct FromCurl {
    /// The address.
    pub url: String,
    /// Headers whose names `admits` took.
    pub headers: Headers,
    /// Names of the headers that it did not take.
    pub dropped: Vec<String>,
}

/// Reads a browser's "copy as cURL", for a POSIX shell or for the command line of Windows. Error texts never repeat
/// it.
pub fn from_curl(source: &str, command: &str, admits: impl Fn(&str) -> bool) -> Result<FromCurl, Error> {
    let bad = |what: String| Error::usage(format!("{source}: {what}"));
    if is_power_shell(command) {
        let other =
            "it is a command of PowerShell: choose \"copy as cURL (cmd)\" or \"(bash)\" in the browser";
        return Err(bad(other.into()));
    }
    let words = if is_for_windows(command) { windows_words(command) } else { words(command) };
    let words = words.ok_or_else(|| bad("a quotation in it is not closed".into()))?;
    let mut words = words.iter().map(|w| w.as_str());
    if !matches!(words.next(), Some("curl" | "curl.exe")) {
        return Err(bad("it does not begin with curl: choose \"copy as cURL\" in the browser".into()));
    }
    let mut found = FromCurl { url: String::new(), headers: Headers::default(), dropped: Vec::new() };
    let mut header = |line: &str| {
        let name = line.split_once(':').map_or(line, |(n, _)| n).trim();
        if admits(name) {
            found.headers.add(source, line)
        } else {
            found.dropped.push(name.to_owned());
            Ok(())
        }
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| bad(format!("the option {word} in it has no value")));
        match word {
            "-H" | "--header" => header(value()?)?,
            "-b" | "--cookie" => header(&text(&["Cookie: ", value()?]))?,
            "-A" | "--user-agent" => header(&text(&["User-Agent: ", value()?]))?,
            "-e" | "--referer" => header(&text(&["Referer: ", value()?]))?,
            // Method and body are the survey's.
            "-X" | "--request" | "-d" | "--data" | "--data-raw" | "--data-binary" => drop(value()?),
            "--compressed" | "--http1.1" | "--http2" | "-s" | "--silent" | "-L" | "--location" | "-g"
            | "--globoff" => {}
            option if option.starts_with('-') => {
                return Err(bad(format!("the option {} in it is not known here", option.escape_debug())));
            }
            url if found.url.is_empty() => found.url = url.to_owned(),
            _ => return Err(bad("it names two addresses".into())),
        }
    }
    if found.url.is_empty() {
        return Err(bad("it names no address".into()));
    }
    Ok(found)
}

/// A browser's "copy as PowerShell" makes a session first, or calls a command of its own.
fn is_power_shell(command: &str) -> bool {
    let start = command.trim_start();
    ["$session", "Invoke-WebRequest", "Invoke-RestMethod", "iwr "].iter().any(|s| start.starts_with(s))
}

/// True if a command was copied for Windows: its first quotation begins with `^"`, or its lines end with `^`.
fn is_for_windows(command: &str) -> bool {
    let options =
        command.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    let first = options.find(['"', '\'']).and_then(|at| options.get(..=at)).unwrap_or_default();
    first.ends_with("^\"") || (first.ends_with('"') && command.lines().any(|l| l.trim_end().ends_with('^')))
}

/// Splits a command as Windows does: `cmd` takes `^` in front of characters that it would read itself, then the
/// program splits at blanks outside of quotes, where `\"` is a quote; `None` if a quotation is not closed.
fn windows_words(command: &str) -> Option<Vec<Zeroizing<String>>> {
    let mut line = Zeroizing::new(String::with_capacity(command.len()));
    let mut quoted = false;
    let mut chars = command.chars().filter(|c| *c != '\r');
    while let Some(c) = chars.next() {
        match c {
            // The character behind a line end that is taken away is taken as it is, a second line end too.
            '^' if !quoted => match chars.next() {
                Some('\n') => line.extend(chars.next()),
                next => line.extend(next),
            },
            '\n' if !quoted => break,
            c => {
                quoted ^= c == '"';
                line.push(c);
            }
        }
    }
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Some(words);
        }
        let mut word = Zeroizing::new(String::with_capacity(line.len()));
        let (mut quoted, mut slashes) = (false, 0);
        while let Some(c) = rest.next_if(|c| quoted || !c.is_whitespace()) {
            match c {
                '\\' => {
                    slashes += 1;
                    continue;
                }
                '"' => {
                    word.extend(std::iter::repeat_n('\\', slashes / 2));
                    match slashes % 2 {
                        1 => word.push('"'),
                        _ if quoted && rest.next_if_eq(&'"').is_some() => word.push('"'),
                        _ => quoted = !quoted,
                    }
                }
                c => {
                    word.extend(std::iter::repeat_n('\\', slashes));
                    word.push(c);
                }
            }
            slashes = 0;
        }
        word.extend(std::iter::repeat_n('\\', slashes));
        if quoted {
            return None;
        }
        words.push(word);
    }
}

/// Splits a command as a POSIX shell would, with `$'…'` as browsers write it; `None` if a quotation is not closed.
fn words(command: &str) -> Option<Vec<Zeroizing<String>>> {
    let mut words = Vec::new();
    let mut chars = command.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Some(words);
        }
        let mut word = Zeroizing::new(String::with_capacity(command.len()));
        let mut any = false;
        while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
            any = true;
            match c {
                '\\' => match chars.next()? {
                    '\n' => any = !word.is_empty(),
                    c => word.push(c),
                },
                '\'' => loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                },
                '"' => loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            '\n' => {}
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                },
                '$' if chars.next_if_eq(&'\'').is_some() => loop {
                    match chars.next()? {
                        '\'' => break,
                        '\\' => match chars.next()? {
                            'n' => word.push('\n'),
                            'r' => word.push('\r'),
                            't' => word.push('\t'),
                            'u' => {
                                let digits: String =
                                    (0..4).map_while(|_| chars.next_if(char::is_ascii_hexdigit)).collect();
                                word.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                            }
                            c => word.push(c),
                        },
                        c => word.push(c),
                    }
                },
                c => word.push(c),
            }
        }
        if any {
            words.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_commands_are_read() {
        let command = "curl 'https://api.example.com/v1?a=1' \\\n  -H 'Authorization: Bearer t0ken' \\\n  \
            -H \"User-Agent: x\" -b $'sid=\\u0041b\\'c' --compressed";
        let admits = |n: &str| !n.eq_ignore_ascii_case("user-agent");
        let found = from_curl("f", command, admits).unwrap();
        assert_eq!(found.url, "https://api.example.com/v1?a=1");
        let headers: Vec<_> = found.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(headers, ["Authorization=Bearer t0ken", "Cookie=sid=Ab'c"]);
        assert_eq!(found.dropped, ["User-Agent"]);
        for bad in ["", "wget x", "curl", "curl 'x", "curl x y", "curl -k x", "curl x -H"] {
            let error = from_curl("f", bad, |_| true).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{bad}");
        }
    }

    #[test]
    fn commands_for_windows_are_read() {
        // Chrome's and Edge's form, with the end of lines of Windows.
        let command = "curl ^\"https://api.example.com/v1?a=1^&b=2^\" ^\r\n  -H ^\"Authorization: Bearer t^%^0ken^\" ^\r\n  \
            -b ^\"sid=^\\^\"x y^\\^\"; c=\\^\\d^\" ^\r\n  --data-raw ^\"^{^\\^\"q^\\^\":^[1^]^}^\"";
        let found = from_curl("f", command, |_| true).unwrap();
        assert_eq!(found.url, "https://api.example.com/v1?a=1&b=2");
        let headers: Vec<_> = found.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(headers, ["Authorization=Bearer t%0ken", "Cookie=sid=\"x y\"; c=\\\\d"]);
        // Firefox's older form: quotes without carets, lines that end with one.
        let command = "curl.exe \"https://api.example.com/\" ^\n  -H \"X-Key: a\"\"b\" --compressed";
        let found = from_curl("f", command, |_| true).unwrap();
        let headers: Vec<_> = found.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            (found.url.as_str(), headers),
            ("https://api.example.com/", vec!["X-Key=a\"b".to_owned()])
        );
        // A caret in a command for a POSIX shell is a caret.
        let command = "curl 'https://api.example.com/' -H 'X: ^\"'";
        let found = from_curl("f", command, |_| true).unwrap();
        assert_eq!(found.headers.iter().map(|(_, v)| v.to_string()).collect::<Vec<_>>(), ["^\""]);
        assert_eq!(from_curl("f", "curl ^\"x ^", |_| true).unwrap_err().exit_status(), 2);
        let shell = from_curl("f", "Invoke-WebRequest -Uri \"https://a\"", |_| true).unwrap_err();
        assert!(shell.to_string().contains("PowerShell"), "{shell}");
    }
}
