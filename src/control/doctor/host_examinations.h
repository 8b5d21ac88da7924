#pragma once

#include <vector>

#include "control/doctor/host_report.h"

namespace mynah {

// The parts of examine_host(); each adds what it finds.
void examine_engines(const HostView& host, std::vector<HostFinding>& findings);
void examine_memory(const HostView& host, std::vector<HostFinding>& findings);
void examine_firmware(const HostView& host, std::vector<HostFinding>& findings);
void examine_devices(const HostView& host, std::vector<HostFinding>& findings);
void examine_limits(const HostView& host, std::vector<HostFinding>& findings);

}  // namespace mynah
