/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 test server as a program; s3d.h says what it does. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness/s3d.h"

static const char usage[] =
	"usage: s3d [OPTION]...\n"
	"A strict S3 server for tests on 127.0.0.1; prints its URL, runs until SIGTERM.\n"
	"  --port N               default: a free one\n"
	"  --port-file FILE       write the port there once it can be reached\n"
	"  --bucket NAME          one that exists; may be given up to 8 times (default: test)\n"
	"  --access-key ID        default: test-access-key\n"
	"  --secret-key KEY       default: test-secret-key\n"
	"  --session-token TOKEN  what each request must carry\n"
	"  --region NAME          default: us-east-1\n"
	"  --max-keys N           of a page of a listing\n"
	"  --old                  know neither If-None-Match nor x-amz-checksum-*\n"
	"  --faults SPEC          see s3d_fault.h; later: POST /-/faults\n"
	"  --tls-cert FILE --tls-key FILE\n";

/** Write "PORT\n" so that whoever finds the file finds all of it. */
static int write_port(const char *path, unsigned port)
{
	char temporary[4096];
	FILE *f;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
		return -1;
	f = fopen(temporary, "we");
	if (!f)
		return -1;
	fprintf(f, "%u\n", port);
	if (fclose(f))
		return -1;
	return rename(temporary, path);
}

int main(int argc, char **argv)
{
	enum {
		PORT = 1,
		PORT_FILE,
		BUCKET,
		ACCESS,
		SECRET,
		TOKEN,
		REGION,
		MAX_KEYS,
		OLD,
		FAULTS,
		CERT,
		KEY,
		HELP
	};
	static const struct option longs[] = {
		{"port", 1, NULL, PORT},         {"port-file", 1, NULL, PORT_FILE},
		{"bucket", 1, NULL, BUCKET},     {"access-key", 1, NULL, ACCESS},
		{"secret-key", 1, NULL, SECRET}, {"session-token", 1, NULL, TOKEN},
		{"region", 1, NULL, REGION},     {"max-keys", 1, NULL, MAX_KEYS},
		{"old", 0, NULL, OLD},           {"faults", 1, NULL, FAULTS},
		{"tls-cert", 1, NULL, CERT},     {"tls-key", 1, NULL, KEY},
		{"help", 0, NULL, HELP},         {0},
	};
	struct s3d_options o = {
		.access_key = "test-access-key", .secret_key = "test-secret-key", .region = "us-east-1"};
	const char *port_file = NULL;
	size_t buckets = 0;
	sigset_t ends;
	struct s3d *d;
	int c, signal_number;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) > 0) {
		switch (c) {
		case PORT:
			o.port = atoi(optarg);
			break;
		case PORT_FILE:
			port_file = optarg;
			break;
		case BUCKET:
			if (buckets < S3D_BUCKETS_MAX)
				o.buckets[buckets++] = optarg;
			break;
		case ACCESS:
			o.access_key = optarg;
			break;
		case SECRET:
			o.secret_key = optarg;
			break;
		case TOKEN:
			o.session_token = optarg;
			break;
		case REGION:
			o.region = optarg;
			break;
		case MAX_KEYS:
			o.max_keys = atoi(optarg);
			break;
		case OLD:
			o.old = true;
			break;
		case FAULTS:
			o.faults = optarg;
			break;
		case CERT:
			o.tls_cert = optarg;
			break;
		case KEY:
			o.tls_key = optarg;
			break;
		case HELP:
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind != argc || !o.tls_cert != !o.tls_key) {
		fputs(usage, stderr);
		return 2;
	}
	if (!buckets)
		o.buckets[0] = "test";
	signal(SIGPIPE, SIG_IGN);
	/* Before the threads are there, so that they inherit it and only sigwait() sees these. */
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	d = s3d_start(&o);
	if (!d)
		return 1;
	printf("http%s://127.0.0.1:%u\n", o.tls_cert ? "s" : "", s3d_port(d));
	fflush(stdout);
	if (port_file && write_port(port_file, s3d_port(d)) < 0) {
		perror(port_file);
		return 1;
	}
	sigwait(&ends, &signal_number);
	s3d_stop(d);
	return 0;
}
