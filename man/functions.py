#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Manual pages from the comments of the public headers: one for each comment, that is for a function or
a group of functions. The other functions of a group get a page that refers to it.

    functions.py --list HEADER…       the names of all pages
    functions.py DIRECTORY HEADER…    writes them
"""
import os
import re
import sys
import time

COMMENT = re.compile(r'/\*.*?\*/', re.S)
FUNCTION = re.compile(r'^(?!typedef|static|#)[a-z][\w\s]*?[\s*](mnfq_\w+)\([^;{]*\);', re.M)
INLINE = re.compile(r'^static inline [^(]*?(mnfq_\w+)\([^{]*\)(?=\n\{)', re.M)


def date():
    """Of the page, as scdoc has it: a build that is to be the same again says when it is."""
    return time.strftime('%Y-%m-%d', time.gmtime(int(os.environ.get('SOURCE_DATE_EPOCH', time.time()))))


def text_of(comment):
    """The lines of a comment without its frame."""
    body = re.sub(r'^/\*+|\*/$', '', comment)
    body = re.sub(r'@p\n\s*\* *', '@p ', body)  # a name that begins the next line
    return [re.sub(r'^\s*\* ?', '', line).rstrip() for line in body.strip().split('\n')]


def groups(source):
    """(comment, functions, prototypes, remarks) for all that is documented; remarks are of its section."""
    remarks, found = [], list(COMMENT.finditer(source))
    for i, comment in enumerate(found):
        end = found[i + 1].start() if i + 1 < len(found) else len(source)
        code = source[comment.end():end]
        lines = text_of(comment.group())
        heading = lines[0].startswith('---- ')
        if heading:
            remarks = lines[1:]
        elif comment.group().startswith('/*\n') and source[comment.start() - 1] == '\n' \
                and source[:comment.start()].endswith('\n\n'):
            remarks = lines
        if not comment.group().startswith('/**') or comment.group().startswith('/**<'):
            continue
        code = code.split('\n\n')[0]
        matches = list(FUNCTION.finditer(code)) or list(INLINE.finditer(code))
        if matches:
            prototypes = [m.group().removeprefix('static inline ').rstrip(';') + ';' for m in matches]
            yield lines, [m.group(1) for m in matches], prototypes, remarks


def roff(text):
    """What stands in the running text."""
    text = text.replace('\\', r'\e').replace('-', r'\-')
    text = re.sub(r'@p (\w+)', r'\\fI\1\\fR', text)
    text = re.sub(r'`([^`]*)`', r'\\fB\1\\fR', text)
    text = re.sub(r'\b(mnfq_\w+)\(\)', r'\\fB\1\\fR()', text)
    return '\\&' + text if text[:1] in ('.', "'") else text


def items(lines):
    """Lines that are indented are a list: what stands before two blanks is an entry of it."""
    out, listing = [], False
    for line in lines:
        if listing and line and not line.startswith(' '):
            out.append('.PP')
        listing = listing and line.startswith(' ')
        entry = re.match(r'  (\S.*?)(?:  +(.*))?$', line)
        if not line:
            out.append('.PP')
        elif entry and line[2] in '-a' and re.match(r'  (-E|any other)', line):
            listing = True
            out += ['.TP', '.B ' + roff(entry.group(1)), roff(entry.group(2) or '') or '\\&']
        else:
            out.append(roff(line.strip()))
    while out and out[-1] == '.PP':
        out.pop()
    return out


def page(header, version, lines, names, prototypes, remarks):
    """The page of a group."""
    parts = {'': []}
    part = ''
    for line in lines:
        command = re.match(r'@(param|return)\b *(.*)', line)
        if command and command.group(1) == 'param':
            name, text = re.match(r'(\S+)\s*(.*)', command.group(2)).groups()
            part = 'PARAMETERS'
            parts.setdefault(part, []).extend(['.TP', r'.I ' + name, roff(text)])
            continue
        if command:
            part, line = 'RETURN VALUE', command.group(2)
        if part == 'PARAMETERS' and line and not line.startswith(' '):
            part = ''
        if part == 'PARAMETERS':
            parts[part] += ['.IP' if not line else roff(line.strip())]
        else:
            parts.setdefault(part, []).append(line)
    text = ' '.join(lines).split('. ')[0].split('@')[0].split(':')[0].strip().rstrip('.')
    out = ['.\\" made from ' + header, '.TH %s 3 "%s" "libmnfq %s"' % (names[0], date(), version),
           '.SH NAME', roff(', '.join(names)) + r' \- ' + roff(text[:1].lower() + text[1:]),
           '.SH SYNOPSIS', '.nf', '.B #include <%s>' % header, '.PP']
    for prototype in prototypes:
        out += ['\\fB' + roff(re.sub(r'\t', '    ', line)) + '\\fR' for line in prototype.split('\n')]
    out += ['.fi', '.SH DESCRIPTION'] + items(parts[''])
    if 'PARAMETERS' in parts:
        out += ['.SH PARAMETERS'] + parts['PARAMETERS']
    if 'RETURN VALUE' in parts:
        out += ['.SH RETURN VALUE'] + items(parts['RETURN VALUE'])
    if remarks:
        out += ['.SH NOTES'] + items(remarks)
    out += ['.SH SEE ALSO', '.BR libmnfq (3),', '.BR mnfq (7)']
    # A break before the first paragraph of a section, or two in a row, is one too many.
    return [line for line, before in zip(out, [''] + out)
            if not (line == '.PP' and (before == '.PP' or before.startswith('.SH')))]


def all_pages(headers):
    """Name and lines of each page."""
    version = ''
    for path in headers:
        directory = os.path.dirname(path)
        with open(os.path.join(directory, 'version.h'), encoding='utf-8') as file:
            version = re.search(r'MNFQ_VERSION *"(.*)"', file.read()).group(1)
        header = 'mnfq/' + os.path.basename(path)
        with open(path, encoding='utf-8') as file:
            source = file.read()
        # What stands before the include guard is about all of the header, and in libmnfq(3).
        source = source[source.index('extern "C" {'):]
        for lines, names, prototypes, remarks in groups(source):
            yield names[0], page(header, version, lines, names, prototypes, remarks)
            for other in names[1:]:
                yield other, ['.so man3/%s.3' % names[0]]


def main():
    """The command line."""
    target, headers = sys.argv[1], sys.argv[2:]
    for name, lines in all_pages(headers):
        if target == '--list':
            print(name + '.3')
            continue
        with open(os.path.join(target, name + '.3'), 'w', encoding='utf-8') as file:
            file.write('\n'.join(line for line in lines if line) + '\n')


main()
