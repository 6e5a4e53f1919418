# fish completion for nodebeatctl. The program itself says what can follow.
function __nodebeatctl_complete
    set -l words (commandline -opc)
    $words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c nodebeatctl -f -a '(__nodebeatctl_complete)'
