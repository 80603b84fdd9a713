# Makes a manual page of what `reconciler COMMAND --help` prints, so that the two cannot differ.
# Variables: page (reconciler-agent), version, date, also (the pages for SEE ALSO, blank-separated).
function text(line) {
  gsub(/\\/, "\\e", line)
  gsub(/-/, "\\-", line)
  if (line ~ /^[.']/) line = "\\&" line
  return line
}
function entry(line,   parts) {
  sub(/^ +/, "", line)
  if (match(line, /   *[^ ]/)) return ".TP\n\\fB" text(substr(line, 1, RSTART - 1)) "\\fR\n" text(substr(line, RSTART + RLENGTH - 1)) "\n"
  return ".TP\n\\fB" text(line) "\\fR\n"
}
/^(Description|Usage|Arguments|Options|Commands|Examples):$/ { section = $1; next }
/^[^ ]/ { notes = notes ".PP\n" text($0) "\n"; next }
/^ *$/ { next }
section == "Description:" { sub(/^ +/, ""); summary = summary (summary == "" ? "" : " ") $0 }
section == "Usage:" { sub(/^ +/, ""); usage = usage "\\fB" text($0) "\\fR\n" }
section == "Arguments:" { arguments = arguments entry($0) }
section == "Options:" { options = options entry($0) }
section == "Commands:" { commands = commands entry($0) }
section == "Examples:" { sub(/^  /, ""); examples = examples text($0) "\n" }
END {
  if (summary == "" || usage == "") { print "man.awk: " page ": this is no help text" >"/dev/stderr"; exit 1 }
  name = summary
  sub(/\. .*/, "", name)
  sub(/[.:].*$/, "", name)
  printf ".TH %s 1 \"%s\" \"reconciler %s\" \"Reconciler\"\n", toupper(text(page)), date, version
  printf ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s.SH DESCRIPTION\n%s\n%s", text(page), text(tolower(substr(name, 1, 1)) substr(name, 2)), usage, text(summary), notes
  if (commands != "") printf ".SH COMMANDS\n%s", commands
  if (arguments != "") printf ".SH ARGUMENTS\n%s", arguments
  if (options != "") printf ".SH OPTIONS\n%s", options
  if (examples != "") printf ".SH EXAMPLES\n.nf\n%s.fi\n", examples
  count = split(also, pages, " ")
  if (count > 0) {
    printf ".SH SEE ALSO\n"
    for (i = 1; i <= count; i++) printf "\\fB%s\\fR(1)%s\n", text(pages[i]), i < count ? "," : ""
  }
}
