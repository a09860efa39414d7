#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""generate.py SHELL PROGRAM: a completion script for bash, zsh or fish on standard output.

It is made from the tables of options of PROGRAM and its commands, as --print-options lists them.
"""
import os
import subprocess
import sys
from collections import namedtuple

Option = namedtuple('Option', 'name letter argument repeat complete help')
NETNS = 'command ls /run/netns 2>/dev/null'


def read(*words):
    """The options of a command, the words that it takes, each with what it is, and whether it takes files."""
    lines = subprocess.run([*words, '--print-options'], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    rows = [line.split('\t') for line in lines]
    return [Option(*row) for row in rows if len(row) == 6], [row for row in rows if len(row) == 2], ['FILE'] in rows


def takes(option):
    """Whether the next word is its argument: "[SEC]" may be left out, and is a number, which has no completion."""
    return option.argument != '-' and option.argument[0] != '['


def names(option):
    return ([] if option.letter == '-' else ['-' + option.letter]) + ['--' + option.name]


def bash(program, options, words, commands, files):
    function = '_' + program.replace('-', '_')
    print(f'{function}_reply()\n{{\n'
          '\tmapfile -t COMPREPLY < <(compgen -W "$1" -- "${COMP_WORDS[COMP_CWORD]}")\n}\n\n'
          f'{function}()\n{{\n\tlocal command=\n\tCOMPREPLY=()')
    if commands:
        print('\t[ "$COMP_CWORD" -lt 2 ] || command=${COMP_WORDS[1]}')
    print('\tcase "$command ${COMP_WORDS[COMP_CWORD - 1]}" in')
    for command, table in [('', options), *commands.items()]:
        for option in table:
            if takes(option):
                reply = {'-': '', 'FILE': 'compopt -o default ',
                         'NETNS': f'{function}_reply "$({NETNS})" '}.get(
                             option.complete, f'{function}_reply "{option.complete}" ')
                print('\t' + ' | '.join(f'"{command} {name}"' for name in names(option)) + f') {reply};;')
    print('\t*)\n\t\tcase $command in')
    for command, table in [('', options), *commands.items()]:
        reply = [name for option in table for name in names(option)]
        reply += [word for word, _ in words] if command in ('', 'help') else []
        reply = f'{function}_reply "{" ".join(reply)}"'
        if command in files:
            reply = 'if [[ ${COMP_WORDS[COMP_CWORD]} == -* ]]; then ' + reply + '; else compopt -o default; fi'
        print(f'\t\t"{command}") {reply} ;;')
    print(f'\t\tesac ;;\n\tesac\n}}\ncomplete -F {function} {program}')


def zsh(program, options, words, commands, files):
    def quote(text, special=':[]'):
        for character in '\\' + special:
            text = text.replace(character, '\\' + character)
        return text.replace("'", "'\\''")

    def arguments(table):
        for option in table:
            value = ''
            if option.argument != '-':
                action = {'-': ' ', 'FILE': '_files', 'NETNS': '_files -W /run/netns'}.get(
                    option.complete, f'({quote(option.complete)})')
                value = f'{":" if takes(option) else "::"}{quote(option.argument)}:{action}'
            for name in names(option):
                once = '*' if option.repeat == '*' else f'({" ".join(names(option))})'
                yield f" \\\n\t\t'{once}{name}[{quote(option.help)}]{value}'"

    print(f'#compdef {program}\n\n_{program}()\n{{')
    print('\tlocal -a words_of_ours=(' + ' '.join(f"'{quote(w, ':')}:{quote(h, '')}'" for w, h in words) + ')')
    if commands:
        print('\tif (( CURRENT > 2 )); then\n\t\tshift words\n\t\t(( CURRENT-- ))\n\t\tcase $words[1] in')
        for command, table in commands.items():
            operand = f" ':command:({' '.join(word for word, _ in words)})'" if command == 'help' else ''
            operand += ' ":file:_files"' if command in files else ''
            print(f'\t\t{command}) _arguments{"".join(arguments(table))}{operand} ;;')
        print('\t\tesac\n\t\treturn\n\tfi')
    print("\t_describe word words_of_ours")
    print(f'\t_arguments{"".join(arguments(options))}\n}}\n\n_{program} "$@"')


def fish(program, options, words, commands, files):
    def quote(text):
        return "'" + text.replace('\\', '\\\\').replace("'", "\\'") + "'"

    print(f'complete -c {program} -f')
    for word, text in words:
        condition = ' -n __fish_use_subcommand' if commands else ''
        print(f'complete -c {program}{condition} -a {word} -d {quote(text)}')
        if commands:
            print(f"complete -c {program} -n '__fish_seen_subcommand_from help' -a {word} -d {quote(text)}")
    for command in files:
        print(f"complete -c {program} -n '__fish_seen_subcommand_from {command}' -F")
    for command, table in [('', options), *commands.items()]:
        condition = f" -n '__fish_seen_subcommand_from {command}'" if command else \
            ' -n __fish_use_subcommand' if commands else ''
        for option in table:
            letter = '' if option.letter == '-' else f' -s {option.letter}'
            value = ''
            if takes(option):
                value = {'-': ' -x', 'FILE': ' -rF', 'NETNS': f" -xa '({NETNS})'"}.get(
                    option.complete, f" -xa '{option.complete}'")
            print(f'complete -c {program}{condition}{letter} -l {option.name}{value} -d {quote(option.help)}')


shell, path = sys.argv[1:]
name = os.path.basename(path)
its_options, its_words, _ = read(path)
tables = {word: read(path, word) for word, _ in its_words} if name == 'mnfq' else {}
its_commands = {word: table[0] for word, table in tables.items()}
its_files = [word for word, table in tables.items() if table[2]]
{'bash': bash, 'zsh': zsh, 'fish': fish}[shell](name, its_options, its_words, its_commands, its_files)
