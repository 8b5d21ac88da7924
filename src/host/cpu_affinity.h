#pragma once

#include <pthread.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mynah {

// Processors of the host by number, ascending, each once.
using HostCpus = std::vector<uint32_t>;

// "0-3", "1", "0-1+4": ranges joined by '+'. Error: what was expected.
Result<HostCpus> parse_host_cpus(std::string_view text);

// Where this process may run: what is online, less what a cpuset or taskset took away.
Result<HostCpus> allowed_host_cpus();
// How many the host has, those that are not for us included.
uint32_t host_cpu_count();

// Error: the first of `wanted` that cannot be had, and which can.
Result<void> check_host_cpus(const HostCpus& wanted, const HostCpus& allowed, uint32_t count);

// The thread runs on these only from here on.
Result<void> pin_thread(pthread_t thread, const HostCpus& cpus);

}  // namespace mynah
