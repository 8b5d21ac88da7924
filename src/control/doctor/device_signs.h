#pragma once

#include <vector>

#include "control/doctor/machine_report.h"

namespace mynah {

// How things are with the machine when its devices are looked at.
struct MachineMoment {
    bool running = false;
    uint64_t seconds = 0;  // since it started, if it runs
};

// What the record says of virtio devices that no driver uses as it should, and why: who did not do
// what. A machine that has only just started is given time for it.
std::vector<Diagnosis> signs_of_drivers(const RunRecord::Contents& record, MachineMoment moment);
// Networks with no link, on which nobody answers, or to which the guest says nothing.
std::vector<Diagnosis> signs_of_networks(const RunRecord::Contents& record, MachineMoment moment);

}  // namespace mynah
