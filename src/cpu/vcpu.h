#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cpu/cpu_state.h"
#include "cpu/event_trail.h"

namespace mynah {

// Why run() returned; always at an instruction boundary, so that the state is fit to be saved.
enum class VcpuExit {
    kHalted,            // HLT (or MWAIT): run again when a signal is pending
    kKicked,            // CpuSignals::kKick was raised; the engine has lowered it
    kInit,              // CpuSignals::kInit was raised; the engine has lowered it; state untouched
    kShutdown,          // triple fault
    kInstructionLimit,  // the limit given to run() is reached
    kEngineError,       // the engine found itself wrong and has said how; the machine cannot go on
};

// Counters an engine keeps; read when it is not running.
struct VcpuStatistics {
    uint64_t instructions = 0;  // retired
    bool all_counted = true;    // false: only some of them were counted, for the sake of speed
    uint64_t exceptions = 0;
    uint64_t interrupts = 0;
    std::map<std::string, uint64_t> undefined;  // unimplemented instructions by mnemonic
    std::map<std::string, uint64_t> counters;   // the engine's own

    VcpuStatistics& operator+=(const VcpuStatistics& other) {
        instructions += other.instructions;
        all_counted = all_counted && other.all_counted;
        exceptions += other.exceptions;
        interrupts += other.interrupts;
        for (const auto& [name, count] : other.undefined) undefined[name] += count;
        for (const auto& [name, count] : other.counters) counters[name] += count;
        return *this;
    }
};

// One virtual processor on some engine.
class Vcpu {
 public:
    virtual ~Vcpu() = default;

    // Only while run() is not executing, or from within a CpuPorts call.
    virtual CpuState& state() = 0;
    // After the state was changed from outside: forget everything derived from it.
    virtual void state_changed() = 0;

    // After the local APIC was changed from outside, by a reset: nothing that was on its way to the
    // processor is there any more.
    virtual void apic_changed() {}
    // Whether it has the local APIC inside: halts, INIT and start-up IPIs are its own business then.
    virtual bool has_apic() const { return false; }
    // Before the vCPU goes and another one takes over, while it does not run: the state, and what the
    // machine's ports and signals are to have back. run() is not called again.
    virtual void leave() {}

    // Runs guest code on the calling thread, at most about `instruction_limit` instructions.
    virtual VcpuExit run(uint64_t instruction_limit = ~uint64_t{0}) = 0;

    virtual VcpuStatistics statistics() const = 0;
    // What it did last, as far as the engine sees that; null: it does not. Only while run() is not
    // executing.
    virtual const EventTrail* trail() const { return nullptr; }
};

}  // namespace mynah
