//! Completions for bash.

use argh::CommandInfoWithArgs;

use super::{NAME, Offer, applets, commands, flags, spellings, values};

/// The script; where it has an `@`, something is put in.
const SCRIPT: &str = r#"# Completion of @PROGRAM, for bash.

_@NAME() {
    COMPREPLY=()
    # Only for what is @NAME, told by where the word leads: it is never run.
    local IFS=$' \t\n' word=${COMP_WORDS[0]-} found=
    case $word in
        */*) found=${word/#\~\//${HOME-}/} ;;
        *) [[ $(type -t -- "$word") != file ]] || found=$(type -P -- "$word") ;;
    esac
    [[ -n $found && -x $found ]] || return 0
    found=$(readlink -f -- "$found") || return 0
    [[ ${found##*/} == @NAME ]] || return 0
    compopt +o default +o bashdefault 2>/dev/null || :

    # Bash cuts words at ':' and '=', too; these are whole.
    local line=${COMP_LINE-${COMP_WORDS[*]}} i blanks last=0
    line=${line:0:${COMP_POINT-${#line}}}
    local words=("$word")
    line=${line#*"$word"}
    for ((i = 1; i <= COMP_CWORD; i++)); do
        blanks=${line%%[![:blank:]]*}
        line=${line#"$blanks"}
        [[ -z $blanks ]] || last=$((last + 1))
        word=${COMP_WORDS[i]-}
        # Of the last, what stands before the cursor.
        [[ $i != "$COMP_CWORD" ]] || word=$line
        words[last]=${words[last]-}$word
        line=${line#"$word"}
    done

    # Which applet it is, how many arguments it has, and which flag waits for its value.
    local applet=${words[0]##*/} at=0 takes= ended= cur=${words[last]} prefix= offer=()
    case $applet in
        @APPLETS) ;;
        *) applet=@NAME ;;
    esac
    for ((i = 1; i < last; i++)); do
        word=${words[i]}
        if [[ -n $takes ]]; then
            takes=
        elif [[ -z $ended && $word == -- ]]; then
            ended=yes
        elif [[ -z $ended && $word == -?* ]]; then
            case "$applet $word" in
                @TAKES) takes=$word ;;
            esac
        elif [[ $applet == @NAME ]]; then
            applet=$word
        else
            at=$((at + 1))
        fi
    done
    if [[ -z $takes && -z $ended && $cur == --*=* ]]; then
        takes=${cur%%=*}
        cur=${cur#*=}
        # What stands before the '=' is replaced, too, unless bash cuts there.
        [[ ${COMP_WORDBREAKS-} == *=* ]] || prefix=$takes=
    fi

    if [[ -n $takes ]]; then
        case "$applet $takes" in
@VALUES        esac
    elif [[ -z $ended && $cur == -* ]]; then
        case $applet in
@FLAGS        esac
    else
        case "$applet $at" in
@ARGUMENTS        esac
    fi
    [[ ${#offer[@]} != 0 ]] || return 0
    [[ ${offer[0]} == -W || ${offer[0]} == -A ]] || compopt -o filenames 2>/dev/null || :
    while IFS= read -r word; do
        COMPREPLY[${#COMPREPLY[@]}]=$prefix$word
    done < <(compgen "${offer[@]}" -- "$cur")
}

complete -F _@NAME -o bashdefault -o default @PROGRAM
"#;

/// The script for a program of this name.
pub(crate) fn script(program: &str, root: &CommandInfoWithArgs) -> String {
    let values = values(root);
    let takes: Vec<_> = values.iter().map(|(calls, _)| quoted(calls)).collect();
    let by_value: String =
        values.iter().map(|(calls, offer)| arm(&quoted(calls), *offer)).collect();
    let mut by_flag = String::new();
    let mut by_place = choice(&format!("\"{NAME} 0\""), &applets(root));
    for (command, info) in commands(root) {
        let spellings: Vec<_> = flags(info).into_iter().flat_map(spellings).collect();
        by_flag += &choice(command, &spellings.iter().map(String::as_str).collect::<Vec<_>>());
        for (place, one) in info.positionals.iter().enumerate() {
            by_place += &arm(&format!("\"{command} {place}\""), Offer::of(one.name));
        }
    }
    SCRIPT
        .replace("@PROGRAM", program)
        .replace("@NAME", NAME)
        .replace("@APPLETS", &applets(root).join(" | "))
        .replace("@TAKES", &takes.join(" | "))
        .replace("@VALUES", &by_value)
        .replace("@FLAGS", &by_flag)
        .replace("@ARGUMENTS", &by_place)
}

/// A case, and how `compgen` makes what is offered then; none if nothing is.
fn arm(patterns: &str, offer: Offer) -> String {
    let how = match offer {
        Offer::Anything => return String::new(),
        Offer::Words(words) => return choice(patterns, words),
        Offer::Hosts => "-A hostname",
        Offer::Folders => "-d",
        Offer::Files => "-f",
    };
    format!("            {patterns}) offer=({how}) ;;\n")
}

/// A case in which one of these words is offered.
fn choice(patterns: &str, words: &[&str]) -> String {
    format!("            {patterns}) offer=(-W '{}') ;;\n", words.join(" "))
}

fn quoted(calls: &[String]) -> String {
    let calls: Vec<_> = calls.iter().map(|call| format!("\"{call}\"")).collect();
    calls.join(" | ")
}
