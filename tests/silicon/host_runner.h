#pragma once

#include <memory>
#include <string>

#include "cpu/cpu_signals.h"
#include "silicon/case.h"

namespace mynah::silicon {

// Runs cases on the host's processor, in this process: code and data are at fixed addresses, every
// signal that can be raised is caught. Single instructions are single-stepped, blocks run freely to
// their INT3 or fault; one that does not end is lost. One thread, one runner.
std::unique_ptr<Runner> make_host_runner();

// Kicks a vCPU that has used too much of this thread's time, while this exists. Needs a host
// runner, whose timer it shares.
class KickLater {
 public:
    explicit KickLater(CpuSignals& signals);
    ~KickLater();
    KickLater(const KickLater&) = delete;
    KickLater& operator=(const KickLater&) = delete;
};

// What is printed should the process come to its end by a signal of its own.
void note_for_crash(const std::string& text);

}  // namespace mynah::silicon
