/* SPDX-License-Identifier: MIT */
/* The text format of Prometheus, version 0.0.4, as strict as its readers can be. */
#ifndef TEST_EXPOSITION_H
#define TEST_EXPOSITION_H

/*
 * Fails the test unless this is an exposition: each metric has its HELP, its TYPE and its samples together and once,
 * no sample is there twice, names and labels are well-formed, counters are called _total, and all is printable ASCII.
 */
void exposition_check(const char *text);

/* Fails the test unless this sample, with its labels as they are written, has this value. */
void exposition_expect(const char *text, const char *sample, const char *value);

#endif
