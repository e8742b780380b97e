// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include "user/commands.h"
#include "user/probe.h"
#include "version.h"

#define SETS_MAX 256

enum { TAKES_CONFIG = 1, TAKES_JSON = 2, TAKES_WITHOUT = 4, TAKES_FILES = 8 };

static int command_version(const struct command_line *line)
{
	printf("sonde %s\n", SONDE_VERSION);
	return EXIT_SUCCESS;
}

static const struct command {
	const char *name, *arguments, *help, *example;
	int (*run)(const struct command_line *line);
	int takes;
} commands[] = {
	{ "run", "[-c FILE] [--set key=value]... [--without FEATURE]...", "the sensor, until SIGINT or SIGTERM",
	  "sonde run -c /etc/sonde/sonde.yaml --set log.level=debug", command_run, TAKES_CONFIG | TAKES_WITHOUT },
	{ "status", "[--json] [-c FILE] [--set key=value]...",
	  "what the running sensor has attached, its books, its backend", "sonde status --json | jq .books",
	  command_status, TAKES_CONFIG | TAKES_JSON },
	{ "check", "[--json] [-c FILE] [--set key=value]...",
	  "can it run here: kernel, capabilities, configuration, backend", "sonde check -c /etc/sonde/sonde.yaml",
	  command_check, TAKES_CONFIG | TAKES_JSON | TAKES_WITHOUT },
	{ "replay", "[--json] [-c FILE] [--set key=value]... PCAP...",
	  "capture files through the programs: verdicts, samples and flows they would give",
	  "sonde replay --set 'filter=tcp port 443' capture.pcapng", command_replay,
	  TAKES_CONFIG | TAKES_JSON | TAKES_FILES },
	{ "detach", "[-c FILE] [--set key=value]...",
	  "remove every program, link, filter and pin of a sensor that is gone", "sonde detach", command_detach,
	  TAKES_CONFIG },
	{ "version", "", "print the version", "sonde version", command_version, 0 },
};

static void print_usage(FILE *out)
{
	fprintf(out, "usage: sonde COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  sonde %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(out,
	        "\n`sonde COMMAND --help` tells more. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n");
}

static void print_help(const struct command *command)
{
	printf("usage: sonde %s %s\n\n%s\n\n", command->name, command->arguments, command->help);
	if (command->takes & TAKES_CONFIG)
		printf("  -c, --config FILE    YAML file; without it no file is read\n"
		       "      --set KEY=VALUE  set one key; wins over the environment (SONDE_A_B) and the file\n");
	if (command->takes & TAKES_JSON)
		printf("      --json           one JSON object\n");
	if (command->takes & TAKES_WITHOUT) {
		printf("      --without NAME   as if the kernel lacked the optional feature NAME:\n");
		for (int feature = 0; feature < FEATURE_MAX; feature++)
			printf("                         %-14s %s instead\n", feature_info(feature)->name,
			       feature_info(feature)->instead);
	}
	printf("  -h, --help           this text\n\nexample: %s\n", command->example);
	if (command->run == command_run) {
		_cleanup_(buf_free) struct buf keys = BUF_INIT(1 << 20);
		config_help(&settings_schema, &keys);
		printf("\nkeys:\n%s", buf_text(&keys));
	}
}

static int usage_error(const struct command *command, const char *what, const char *value)
{
	fprintf(stderr, "sonde %s: %s \"%s\"; see `sonde %s --help`\n", command->name, what, value, command->name);
	return EXIT_USAGE;
}

static int run_command(const struct command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "set", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },         { "without", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },         { 0 },
	};
	const char *sets[SETS_MAX];
	struct command_line line = { .input = { .sets = sets, .environment = environ } };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) >= 0) {
		int needs = option == 'c' || option == 's' ? TAKES_CONFIG : option == 'j' ? TAKES_JSON : TAKES_WITHOUT;
		if (option == 'h') {
			print_help(command);
			return EXIT_SUCCESS;
		}
		if (option == ':')
			return usage_error(command, "a value is missing after", argv[optind - 1]);
		if (option == '?' || !(command->takes & needs))
			return usage_error(command, "unknown option", argv[optind - 1]);
		if (option == 's' && line.input.n_sets == SETS_MAX)
			return usage_error(command, "too many times", "--set");
		if (option == 'c')
			line.input.file = optarg;
		else if (option == 's')
			sets[line.input.n_sets++] = optarg;
		else if (option == 'j')
			line.json = true;
		else if (feature_find(optarg) == FEATURE_MAX)
			return usage_error(command, "unknown feature", optarg);
		else
			feature_disable(feature_find(optarg));
	}
	line.files = argv + optind;
	line.n_files = (size_t)(argc - optind);
	if (optind < argc && !(command->takes & TAKES_FILES))
		return usage_error(command, "unexpected argument", argv[optind]);
	return command->run(&line);
}

bool command_settings(const struct command_line *line, struct settings *ret_settings)
{
	_cleanup_(buf_free) struct buf problems = BUF_INIT(1 << 20);
	if (settings_load(&line->input, ret_settings, &problems) == 0)
		return true;
	fprintf(stderr, "%s", buf_text(&problems));
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0)
		return command_version(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return run_command(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "sonde: unknown command \"%s\"\n", argv[1]);
	print_usage(stderr);
	return EXIT_USAGE;
}
