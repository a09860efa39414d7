/* SPDX-License-Identifier: MIT */
/* What the doctor found. */
#include "doctor/findings.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "print/writer.h"

static const char *const level_names[] = { [LEVEL_ERROR] = "error",
					   [LEVEL_WARNING] = "warning",
					   [LEVEL_UNSEEN] = "unseen",
					   [LEVEL_NOTE] = "note" };

#define OTHER "; or " /* in front of another remedy */

struct finding *findings_add(struct findings *findings, enum level level, const char *name,
			     int queue)
{
	struct finding *finding;

	if (findings->count == findings->room) {
		const size_t room = findings->room ? 2 * findings->room : 16;

		finding = reallocarray(findings->list, room, sizeof(*finding));
		findings->no_memory |= !finding;
		if (!finding)
			return NULL;
		findings->list = finding;
		findings->room = room;
	}
	finding = &findings->list[findings->count++];
	*finding = (struct finding){ .level = level, .name = name, .queue = queue };
	return finding;
}

struct finding *finding_cause(struct finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (finding)
		vsnprintf(finding->cause, sizeof(finding->cause), format, args);
	va_end(args);
	return finding;
}

struct finding *finding_remedy(struct finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (finding)
		vsnprintf(finding->remedy, sizeof(finding->remedy), format, args);
	va_end(args);
	return finding;
}

bool findings_are_bad(const struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		if (findings->list[i].level != LEVEL_NOTE)
			return true;
	return false;
}

static void print_json(FILE *out, const struct finding *finding)
{
	struct writer w = { .out = out, .json = true };

	begin_line(&w);
	put_text(&w, "level", NULL, level_names[finding->level]);
	put_text(&w, "finding", NULL, finding->name);
	if (finding->queue >= 0)
		put_number(&w, "queue", NULL, (uint64_t)finding->queue);
	put_quoted(&w, "cause", NULL, finding->cause);
	put_quoted(&w, "remedy", NULL, finding->remedy);
	end_line(&w);
}

/* The next remedy; one that is quoted, in a name, is none. Returns NULL if there is no other. */
static const char *find_other(const char *text)
{
	bool quoted = false;

	for (; *text; text++) {
		if (quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (!quoted && strncmp(text, OTHER, strlen(OTHER)) == 0)
			return text;
	}
	return NULL;
}

/* What can be done instead begins a line, so that each command can be copied with its line. */
static void print_text(FILE *out, const struct finding *finding)
{
	const char *at = finding->remedy, *end;

	fprintf(out, "%s: %s\n  remedy: ", level_names[finding->level], finding->cause);
	while ((end = find_other(at))) {
		fprintf(out, "%.*s\n      or: ", (int)(end - at), at);
		at = end + strlen(OTHER);
	}
	fprintf(out, "%s\n", at);
}

void findings_print(FILE *out, const struct findings *findings, bool json)
{
	flockfile(out);
	for (unsigned int level = LEVEL_ERROR; level <= LEVEL_NOTE; level++) {
		for (size_t i = 0; i < findings->count; i++) {
			const struct finding *finding = &findings->list[i];

			if (finding->level != level)
				continue;
			if (json)
				print_json(out, finding);
			else
				print_text(out, finding);
		}
	}
	funlockfile(out);
}

void findings_free(struct findings *findings)
{
	free(findings->list);
	*findings = (struct findings){ 0 };
}
