/* SPDX-License-Identifier: MIT */
/* What is done with packets, wherever they come from. */
#include "packets/packets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "capture/view.h"
#include "common/log.h"
#include "common/program.h"
#include "common/text.h"

/* ---- opening ------------------------------------------------------------------------------ */

/* Before the sandbox is entered, as it reads a file. */
static int open_printer(struct packets *packets)
{
	struct print_options *options = &packets->printer.options;
	const struct packet_options *opts = packets->opts;

	*options = opts->print;
	options->times = (enum time_style)opts->times;
	options->color = color_is_wanted(opts->color, STDOUT_FILENO);
	if (!opts->names)
		return 0;
	options->services = packets->services = services_read();
	return packets->services ? 0
				 : fail(opts->command, "--names: cannot read /etc/services: %s",
					strerror(errno));
}

/*
 * With --when-blocked wait a large buffer would only delay the pressure on the kernel's queue. But what is printed of a
 * packet must fit: the bytes of the largest, with -X, are less than 320 KiB.
 */
static size_t choose_size(const struct packet_options *opts)
{
	const struct print_options *print = &opts->print;
	const bool bytes = print->hex || print->hex_ascii || print->ascii || print->payload;

	return opts->when_blocked == OUTPUT_WAIT && !bytes ? 1 << 16 : 1 << 20;
}

static int open_output(struct packets *packets)
{
	const struct output_options options = {
		.fd = STDOUT_FILENO,
		.size = choose_size(packets->opts),
		.when_blocked = packets->opts->when_blocked,
	};

	packets->out = output_new(&options);
	if (packets->out && log_open() == 0)
		return open_printer(packets);
	return fail(packets->opts->command, "out of memory");
}

static int open_filter(struct packets *packets)
{
	const struct packet_options *opts = packets->opts;
	char error[FILTER_ERROR_SIZE], text[160];

	if (!opts->filter)
		return 0;
	packets->filter = filter_new(opts->filter, error);
	if (packets->filter)
		return 0;
	return fail_usage(opts->command, "filter %s: %s",
			  quote_text(text, sizeof(text), opts->filter), error);
}

static bool is_stdout(const struct packets *packets)
{
	return strcmp(packets->opts->write, "-") == 0;
}

/* Did the capture end because no more is wanted: after the last file of -G and -W, or by whoever reads stdout? */
static bool is_enough(const struct packets *packets, int error)
{
	return error == ECANCELED || (error == EPIPE && is_stdout(packets));
}

static void stop(struct packets *packets)
{
	pthread_mutex_lock(&packets->stop_lock);
	if (packets->stop)
		packets->stop(packets->stop_data);
	pthread_mutex_unlock(&packets->stop_lock);
}

static void on_output_failed(void *data, int error)
{
	(void)error;
	stop(data);
}

/* The packets still need their verdicts, unless whoever reads them wants no more. */
static void on_capture_failed(void *data, int error)
{
	struct packets *packets = data;
	const bool ends = error == EAGAIN || is_enough(packets, error);

	atomic_store(&packets->capture_error, error);
	if (!ends && packets->live) {
		atomic_store(&packets->reported, true);
		log_line(
			"%s: the capture has ended, and packets are still decided: cannot write to %s: "
			"%s",
			packets->opts->command, capture_name(packets->capture),
			files_strerror(error));
		return;
	}
	stop(packets);
}

static struct files_options files_of(const struct packets *packets)
{
	const struct packet_options *opts = packets->opts;

	return (struct files_options){ .path = opts->write,
				       .fifo = packets->fifo,
				       .max_size = opts->file_size,
				       .seconds = opts->file_seconds,
				       .max_files = opts->max_files,
				       .sandbox = !opts->no_sandbox,
				       .input = packets->input };
}

int packets_await_reader(struct packets *packets)
{
	const struct files_options options = files_of(packets);
	char name[PATH_MAX];

	if (!options.path)
		return 0;
	packets->fifo = files_open_fifo(&options);
	if (packets->fifo >= 0 || packets->fifo == -ENODEV)
		return 0;
	return fail(packets->opts->command, "cannot open %s: %s",
		    clean_text(name, sizeof(name), options.path), strerror(-packets->fifo));
}

int packets_open_capture(struct packets *packets)
{
	const struct packet_options *opts = packets->opts;
	const struct capture_options options = {
		.files = files_of(packets),
		.snap = opts->snap,
		.when_blocked = opts->when_blocked,
		.filtered = opts->filter != NULL,
		.failed = on_capture_failed,
		.data = packets,
	};
	char error[PATH_MAX + 256], clean[PATH_MAX + 256];

	if (!opts->write)
		return 0;
	packets->capture = capture_open(&options, error, sizeof(error));
	if (packets->capture)
		return 0;
	return fail(opts->command, "%s", clean_text(clean, sizeof(clean), error));
}

int packets_open(struct packets *packets, const struct packet_options *opts, bool live)
{
	int status;

	packets->opts = opts;
	packets->live = live;
	packets->fifo = -1;
	pthread_mutex_init(&packets->stop_lock, NULL);
	status = open_output(packets);
	return status ? status : open_filter(packets);
}

int packets_start(struct packets *packets)
{
	int err = log_start();

	if (!err && packet_options_print(packets->opts))
		err = output_start(packets->out);
	if (!err && packets->capture)
		err = capture_start(packets->capture);
	return err;
}

void packets_on_stop(struct packets *packets, void (*stop_them)(void *data), void *data)
{
	pthread_mutex_lock(&packets->stop_lock);
	packets->stop = stop_them;
	packets->stop_data = data;
	pthread_mutex_unlock(&packets->stop_lock);
	if (packets->out)
		output_on_error(packets->out, stop_them ? on_output_failed : NULL, packets);
}

/* ---- packets ------------------------------------------------------------------------------ */

static void modify(const struct packet_options *opts, struct mnfq_packet *packet,
		   struct packet_counts *counts)
{
	if (opts->has_mark)
		mnfq_packet_set_mark(packet, (mnfq_packet_get_mark(packet) & ~opts->mark_mask) |
						     opts->mark);
	if (opts->has_priority)
		mnfq_packet_set_priority(packet, opts->priority);
	if (opts->has_ct_mark &&
	    mnfq_packet_set_ct_mark(packet, opts->ct_mark, opts->ct_mark_mask) < 0)
		counts->untracked++;
}

bool packets_decide(struct packets *packets, struct mnfq_packet *packet,
		    struct packet_counts *counts, enum mnfq_verdict *verdict)
{
	const struct packet_options *opts = packets->opts;
	enum filter_result result;

	if (packets->filter) {
		result = filter_run(packets->filter, packet);
		counts->matched += result == FILTER_YES;
		counts->cut += result == FILTER_CUT;
		if (result != FILTER_YES) {
			*verdict = opts->else_verdict;
			return false;
		}
	}
	modify(opts, packet, counts);
	*verdict = opts->verdict;
	return true;
}

/* Without lines or a limit there is no need for the lock of the output. */
bool packets_are_shown(const struct packets *packets)
{
	return packet_options_print(packets->opts) || packets->opts->count || packets->capture;
}

/* Counts a packet and prints it. Returns whether it is one of those that are wanted. */
static bool print(struct packets *packets, const struct line *line, bool *more)
{
	const struct packet_options *opts = packets->opts;
	FILE *out = output_begin(packets->out);
	const bool wanted = !opts->count || packets->seen < opts->count;
	int err = 0;

	*more = ++packets->seen != opts->count;
	if (wanted && packet_options_print(opts))
		err = print_line(out, &packets->printer, line);
	output_end(packets->out, err);
	return wanted;
}

static void write_packet(struct packets *packets, const struct line *line,
			 const enum mnfq_verdict *verdict)
{
	struct record_interface interface;
	struct record record;

	record_of(&record, line);
	if (verdict) {
		record.has_verdict = true;
		record.verdict = *verdict;
	}
	record_interface_of(&interface, &record, line);
	capture_write(packets->capture, &record, &interface);
}

bool packets_show(struct packets *packets, const struct line *line,
		  const enum mnfq_verdict *verdict)
{
	const struct packet_options *opts = packets->opts;
	bool wanted = true, more = true;

	if (packet_options_print(opts) || opts->count)
		wanted = print(packets, line, &more);
	if (wanted && packets->capture)
		write_packet(packets, line, verdict);
	return more;
}

uint64_t packets_unwritten(const struct packets *packets)
{
	if (!packets->capture || is_enough(packets, atomic_load(&packets->capture_error)))
		return 0;
	return capture_missing(packets->capture);
}

/* After EPIPE the reader wants no more. */
uint64_t packets_lines_dropped(const struct packets *packets)
{
	const int error = output_error(packets->out);

	return error == 0 || error == EAGAIN ? output_dropped(packets->out) : 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

void packets_flush(struct packets *packets)
{
	output_flush(packets->out);
	if (packets->capture)
		capture_flush(packets->capture);
}

void packets_give_up(struct packets *packets)
{
	output_give_up(packets->out);
	if (packets->capture)
		capture_give_up(packets->capture);
}

static int finish_capture(struct packets *packets)
{
	const char *name;
	int error;

	if (!packets->capture)
		return 0;
	error = capture_finish(packets->capture, &name);
	if (!error || is_enough(packets, error))
		return 0;
	if (atomic_load(&packets->reported))
		return 1;
	if (error == EAGAIN)
		return fail(packets->opts->command,
			    "%s takes no more, and packets would have been missing", name);
	return fail(packets->opts->command, "cannot write to %s: %s", name,
		    files_strerror(error));
}

/* As with tcpdump, a reader that closes stdout early is no error. */
int packets_finish(struct packets *packets)
{
	int status = finish_capture(packets), error;

	output_finish(packets->out);
	error = output_error(packets->out);
	if (error == 0 || error == EPIPE)
		return status;
	if (error == EAGAIN)
		return fail(packets->opts->command,
			    "stdout is not read, and lines would have been dropped");
	return fail(packets->opts->command, "cannot write to stdout: %s", strerror(error));
}

void packets_close(struct packets *packets)
{
	if (!packets->opts)
		return;
	capture_free(packets->capture);
	output_free(packets->out);
	filter_free(packets->filter);
	services_free(packets->services);
	pthread_mutex_destroy(&packets->stop_lock);
}
