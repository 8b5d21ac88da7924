#include "device/storage/ahci.h"

#include <algorithm>

#include "base/check.h"

namespace mynah {

using namespace ahci;

namespace {

constexpr uint32_t kGeneration3 = 3;

}  // namespace

Ahci::Ahci(const DmaView& memory, MediumJobOwner& jobs, AhciOptions options) : options_(options) {
    for (auto& port : ports_) {
        port = std::make_unique<AhciPort>(memory, jobs, options_.staggered_spin_up);
    }
}

uint32_t Ahci::read(uint32_t offset) const {
    if (offset >= kPorts) {
        const uint32_t port = (offset - kPorts) / kPortSize;
        return port < kPortCount ? ports_[port]->read((offset - kPorts) % kPortSize) : 0;
    }
    switch (offset) {
        case kCap:
            return (kPortCount - 1) | (kSlots - 1) << cap::kSlotsShift |
                   kGeneration3 << cap::kSpeedShift | cap::kAhciOnly | cap::kCommandListOverride |
                   (options_.staggered_spin_up ? cap::kStaggeredSpinUp : 0) | cap::kQueuing |
                   cap::k64Bit;
        case kGhc:
            return ghc_ | ghc::kAhciEnable | (resetting_ ? ghc::kReset : 0);
        case kIs:
            return is_;
        case kPi:
            return (1u << kPortCount) - 1;
        case kVs:
            return kVersion131;
        default:
            return 0;
    }
}

void Ahci::write(uint32_t offset, uint32_t value) {
    if (resetting_) return;  // until the reset is over nothing is accepted
    if (offset < kPorts) {
        write_global(offset, value);
    } else if (const uint32_t port = (offset - kPorts) / kPortSize; port < kPortCount) {
        ports_[port]->write((offset - kPorts) % kPortSize, value);
    }
    collect();
}

void Ahci::write_global(uint32_t offset, uint32_t value) {
    switch (offset) {
        case kGhc:
            if ((value & ghc::kReset) != 0) {
                begin_reset();
                if (drained()) finish_reset();
            } else {
                const uint32_t before = ghc_;
                ghc_ = value & ghc::kInterruptEnable;
                message_ |= (before & ghc_) == 0 && ghc_ != 0 && is_ != 0;
            }
            return;
        case kIs: {
            const uint32_t before = is_;
            is_ &= ~value;
            // What is still pending is told once more [AHCI 10.6.2.1].
            message_ |= before != is_ && is_ != 0;
            return;
        }
        default:
            return;
    }
}

void Ahci::begin_reset() {
    for (auto& port : ports_) port->begin_reset();
    ghc_ = is_ = 0;
    message_ = false;
    resetting_ = true;
}

void Ahci::finish_reset() {
    resetting_ = false;
    for (auto& port : ports_) port->reset_done();
}

void Ahci::reset() {
    CHECK(drained());
    begin_reset();
    finish_reset();
}

bool Ahci::drained() const {
    return std::all_of(ports_.begin(), ports_.end(),
                       [](const auto& port) { return port->drained(); });
}

// A bit here is set by what its port signals and stays until the guest clears it [AHCI 3.1.3].
void Ahci::collect() {
    for (unsigned i = 0; i < kPortCount; ++i) {
        const uint32_t bit = 1u << i;
        if (!ports_[i]->interrupt() || (is_ & bit) != 0) continue;
        is_ |= bit;
        message_ = true;
    }
}

bool Ahci::interrupt() const { return (ghc_ & ghc::kInterruptEnable) != 0 && is_ != 0; }

bool Ahci::take_message() {
    const bool due = message_ && interrupt();
    message_ = false;
    return due;
}

AhciTask* Ahci::take_ready() {
    for (unsigned i = 0; i < kPortCount; ++i) {
        const unsigned port = (next_port_ + i) % kPortCount;
        if (AhciTask* task = ports_[port]->take_ready()) {
            next_port_ = (port + 1) % kPortCount;
            return task;
        }
    }
    return nullptr;
}

void Ahci::finished(AhciTask& task, BlockStatus status) {
    task.port.finished(task, status);
    if (resetting_ && drained()) finish_reset();
    collect();
}

}  // namespace mynah
