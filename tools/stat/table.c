/* SPDX-License-Identifier: MIT */
/* A reading as a table for people: columns as wide as what is in them, and as many as fit on the screen. */
#include "stat/table.h"

#include <inttypes.h>
#include <string.h>

#include "common/text.h"

#define CELL_SIZE 300
#define NAME_MIN  8 /* what is left of a name where there is no room */
#define GAP       2

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_RED, STYLE_BOLD_RED };

enum column {
	QUEUE,
	NETNS,
	OWNER,
	WAITING,
	COPY,
	FULL,
	SOCKET,
	PACKETS,
	PACKET_RATE,
	FULL_RATE,
	SOCKET_RATE,
	STAT_COLUMNS,
};

static const struct {
	const char *heading;
	bool left;
} columns[STAT_COLUMNS] = {
	[QUEUE] = { "QUEUE", false },        [NETNS] = { "NETNS", true },
	[OWNER] = { "OWNER", true },         [WAITING] = { "WAITING", false },
	[COPY] = { "COPY", true },           [FULL] = { "DROP-FULL", false },
	[SOCKET] = { "DROP-SOCK", false },   [PACKETS] = { "PACKETS", false },
	[PACKET_RATE] = { "PKT/S", false },  [FULL_RATE] = { "FULL/S", false },
	[SOCKET_RATE] = { "SOCK/S", false },
};

const char *format_copy(char out[COPY_SIZE], const struct mnfq_kernel_queue *queue)
{
	static const char *const modes[] = { [MNFQ_COPY_DEFAULT] = "?",
					     [MNFQ_COPY_META] = "meta",
					     [MNFQ_COPY_PACKET] = "packet",
					     [MNFQ_COPY_NONE] = "none" };

	if (queue->copy_mode == MNFQ_COPY_PACKET)
		snprintf(out, COPY_SIZE, "packet:%" PRIu32, queue->copy_range);
	else
		snprintf(out, COPY_SIZE, "%s", modes[queue->copy_mode]);
	return out;
}

/* ---- cells ------------------------------------------------------------------------------ */

/* A word, so that the table can be taken apart by columns, whatever a process calls itself. */
static void put_owner(char cell[CELL_SIZE], const struct row *row)
{
	char command[CELL_SIZE - 32];

	if (!row->pid)
		snprintf(cell, CELL_SIZE, "portid:%" PRIu32, row->queue.portid);
	else
		snprintf(cell, CELL_SIZE, "%d/%s", row->pid,
			 clean_text(command, sizeof(command), row->command));
	for (char *at = cell; (at = strchr(at, ' '));)
		*at = '_';
}

/* What moves is bold, drops are red. */
static enum style put_counter(char cell[CELL_SIZE], uint32_t now, bool drops, bool moves)
{
	snprintf(cell, CELL_SIZE, "%" PRIu32, now);
	if (drops && now)
		return moves ? STYLE_BOLD_RED : STYLE_RED;
	return moves ? STYLE_BOLD : STYLE_PLAIN;
}

static enum style put_rate_cell(char cell[CELL_SIZE], const struct reading *reading,
				const struct row *row, uint32_t now, uint32_t before, bool drops)
{
	const double rate = reading_rate(reading, now, before);

	if (!row->compared || !reading->elapsed_ms) {
		strcpy(cell, "-");
		return STYLE_PLAIN;
	}
	snprintf(cell, CELL_SIZE, "%.*f", rate > 0 && rate < 9.95 ? 1 : 0, rate);
	if (now == before)
		return STYLE_PLAIN;
	return drops ? STYLE_BOLD_RED : STYLE_BOLD;
}

static enum style put_waiting(char cell[CELL_SIZE], const struct row *row)
{
	if (row->limit)
		snprintf(cell, CELL_SIZE, "%" PRIu32 "/%" PRIu32, row->queue.waiting, row->limit);
	else
		snprintf(cell, CELL_SIZE, "%" PRIu32, row->queue.waiting);
	if (row->limit && row->queue.waiting >= row->limit)
		return STYLE_BOLD_RED;
	return row->compared && row->queue.waiting != row->before.waiting ? STYLE_BOLD
									  : STYLE_PLAIN;
}

static enum style put_cell(char cell[CELL_SIZE], const struct reading *reading,
			   const struct row *row, enum column column)
{
	const struct mnfq_kernel_queue *now = &row->queue;
	const struct mnfq_kernel_queue *before = row->compared ? &row->before : now;

	switch (column) {
	case QUEUE:
		snprintf(cell, CELL_SIZE, "%u", now->num);
		return STYLE_PLAIN;
	case NETNS:
		quote_word(cell, CELL_SIZE, row->netns);
		return STYLE_PLAIN;
	case OWNER:
		put_owner(cell, row);
		return STYLE_PLAIN;
	case WAITING:
		return put_waiting(cell, row);
	case COPY:
		format_copy(cell, now);
		return STYLE_PLAIN;
	case FULL:
		return put_counter(cell, now->queue_dropped, true,
				   now->queue_dropped != before->queue_dropped);
	case SOCKET:
		return put_counter(cell, now->user_dropped, true,
				   now->user_dropped != before->user_dropped);
	case PACKETS:
		return put_counter(cell, now->last_id, false, now->last_id != before->last_id);
	case PACKET_RATE:
		return put_rate_cell(cell, reading, row, now->last_id, before->last_id, false);
	case FULL_RATE:
		return put_rate_cell(cell, reading, row, now->queue_dropped,
				     before->queue_dropped, true);
	default:
		return put_rate_cell(cell, reading, row, now->user_dropped, before->user_dropped,
				     true);
	}
}

/* ---- columns ---------------------------------------------------------------------------- */

/* 0: it is left out. */
struct widths {
	unsigned int of[STAT_COLUMNS];
};

static unsigned int get_total(const struct widths *widths)
{
	unsigned int total = 0;

	for (int i = 0; i < STAT_COLUMNS; i++)
		total += widths->of[i] ? widths->of[i] + (total ? GAP : 0) : 0;
	return total;
}

static bool is_too_wide(const struct widths *widths, unsigned int width)
{
	return get_total(widths) > width;
}

static void shrink(struct widths *widths, unsigned int width)
{
	static const enum column names[] = { OWNER, NETNS };

	for (size_t i = 0; i < 2 && is_too_wide(widths, width); i++) {
		unsigned int *one = &widths->of[names[i]], more = get_total(widths) - width;

		if (*one > NAME_MIN)
			*one = *one - NAME_MIN > more ? *one - more : NAME_MIN;
	}
}

/* The least telling columns go first. A name is cut before a counter goes, by as little as will do. */
static void fit(struct widths *widths, unsigned int width)
{
	static const enum column without[] = { COPY,  SOCKET_RATE, FULL_RATE, PACKETS, SOCKET,
					       NETNS, PACKET_RATE, FULL,      OWNER };
	struct widths cut = *widths;

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]) && is_too_wide(&cut, width);
	     i++) {
		widths->of[without[i]] = 0;
		cut = *widths;
		shrink(&cut, width);
	}
	*widths = cut;
}

static struct widths measure(const struct reading *reading, const struct table_options *options)
{
	struct widths widths = { { 0 } };
	char cell[CELL_SIZE];

	for (enum column column = 0; column < (options->rates ? STAT_COLUMNS : PACKET_RATE);
	     column++) {
		unsigned int width = (unsigned int)strlen(columns[column].heading);

		for (size_t i = 0; i < reading->count; i++) {
			put_cell(cell, reading, &reading->rows[i], column);
			if (strlen(cell) > width)
				width = (unsigned int)strlen(cell);
		}
		widths.of[column] = width;
	}
	if (options->width)
		fit(&widths, options->width);
	return widths;
}

/* ---- lines ------------------------------------------------------------------------------ */

static void print_cell(FILE *out, const struct table_options *options, enum style style,
		       const struct widths *widths, enum column column, const char *text)
{
	static const char *const styles[] = { "", "\033[1m", "\033[31m", "\033[1;31m" };
	const unsigned int width = widths->of[column];
	const unsigned int len = (unsigned int)strnlen(text, width);
	const bool colored = options->color && style != STYLE_PLAIN;
	bool last = true;

	for (enum column i = column + 1; i < STAT_COLUMNS; i++)
		last &= !widths->of[i];
	fprintf(out, "%*s%s%.*s%s%*s", columns[column].left ? 0 : (int)(width - len), "",
		colored ? styles[style] : "", (int)width, text, colored ? "\033[m" : "",
		columns[column].left && !last ? (int)(width - len) : 0, "");
	fputs(last ? options->end : "  ", out);
}

void table_print(FILE *out, const struct reading *reading, const struct table_options *options)
{
	const struct widths widths = measure(reading, options);
	const bool cut = options->lines && reading->count + 1 > options->lines;
	const size_t shown = !cut ? reading->count : options->lines > 2 ? options->lines - 2 : 0;
	char cell[CELL_SIZE];
	enum style style;

	for (enum column column = 0; column < STAT_COLUMNS; column++)
		if (widths.of[column])
			print_cell(out, options, STYLE_BOLD, &widths, column,
				   columns[column].heading);
	for (size_t i = 0; i < shown; i++) {
		for (enum column column = 0; column < STAT_COLUMNS; column++) {
			if (!widths.of[column])
				continue;
			style = put_cell(cell, reading, &reading->rows[i], column);
			print_cell(out, options, style, &widths, column, cell);
		}
	}
	if (cut && options->lines > 1)
		fprintf(out, "... and %zu more%s", reading->count - shown, options->end);
}
