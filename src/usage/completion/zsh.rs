//! Completions for zsh.

use argh::{CommandInfoWithArgs, FlagInfo, Optionality, SubCommandInfo};

use super::{NAME, Offer, applets, commands, flags, spellings, value};

/// The script, which zsh runs as a function; where it has an `@`, something is put in.
const SCRIPT: &str = r#"#compdef @PROGRAM

# Only for what is @NAME, told by where the word leads: it is never run.
local found=${(Q)words[1]} applet=${${(Q)words[1]}:t} curcontext=$curcontext state line
local -A opt_args
local -a applets
case $found in
    (*/*) found=${found/#\~\//$HOME/} ;;
    (*) [[ $(whence -w -- $found) == *': '(command|hashed) ]] && found=$(whence -p -- $found) || found= ;;
esac
if [[ ! -x $found || ${found:A:t} != @NAME ]]; then
    _default
    return
fi

case $applet in
    (@APPLETS) ;;
    (*)
        _arguments -C -S \
@ROOT            '*::applet:->applet' && return
        [[ $state == applet ]] || return
        if (( CURRENT == 1 )); then
            applets=(
@SUMMARIES            )
            _describe -t applets applet applets
            return
        fi
        applet=$words[1]
        curcontext="${curcontext%:*:*}:@NAME-$applet:"
        ;;
esac
case $applet in
@CASES    (*) return 1 ;;
esac
"#;

/// The script for a program of this name.
pub(crate) fn script(program: &str, root: &CommandInfoWithArgs) -> String {
    let mut cases = String::new();
    for (command, info) in commands(root).skip(1) {
        cases += &format!("    ({command})\n        _arguments -s -S \\\n{}", specs(info));
        for (place, one) in info.positionals.iter().enumerate() {
            let spec = format!("{}:{}:{}", place + 1, one.name, action(Offer::of(one.name)));
            cases += &format!("            {} \\\n", quoted(&spec));
        }
        cases += "            && return\n        ;;\n";
    }
    let summary = |one: &SubCommandInfo| {
        format!(
            "                {}\n",
            quoted(&format!("{}:{}", one.name, one.command.description))
        )
    };
    SCRIPT
        .replace("@PROGRAM", program)
        .replace("@NAME", NAME)
        .replace("@APPLETS", &applets(root).join("|"))
        .replace("@ROOT", &specs(root))
        .replace("@SUMMARIES", &root.commands.iter().map(summary).collect::<String>())
        .replace("@CASES", &cases)
}

/// What `_arguments` is told of a command's flags.
fn specs(info: &CommandInfoWithArgs) -> String {
    flags(info).into_iter().map(|flag| format!("            {} \\\n", spec(flag))).collect()
}

fn spec(flag: &FlagInfo<'static>) -> String {
    let all = spellings(flag);
    let argument = value(flag).map(|name| format!(":{name}:{}", action(Offer::of(name))));
    // A short flag may have its value right behind it, a long one after a '='.
    let forms: Vec<_> = all
        .iter()
        .map(|form| match argument {
            Some(_) if form.starts_with("--") => format!("{form}="),
            Some(_) => format!("{form}+"),
            None => form.clone(),
        })
        .collect();
    let rest = format!("[{}]{}", escaped(flag.description), argument.unwrap_or_default());
    let again = matches!(flag.optionality, Optionality::Repeating) || flag.long == "--verbose";
    let before = match flag.long {
        "--help" | "--version" => "(- *)".to_owned(),
        _ if again => "*".to_owned(),
        _ => format!("({})", all.join(" ")),
    };
    match &forms[..] {
        [one] => quoted(&format!("{before}{one}{rest}")),
        _ => format!("{}{{{}}}{}", quoted(&before), forms.join(","), quoted(&rest)),
    }
}

fn action(offer: Offer) -> String {
    match offer {
        Offer::Anything => " ".into(),
        Offer::Hosts => "_hosts".into(),
        Offer::Folders => "_files -/".into(),
        Offer::Files => "_files".into(),
        Offer::Words(words) => format!("({})", words.join(" ")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
