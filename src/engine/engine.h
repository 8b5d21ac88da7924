#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpu/cpu_ports.h"
#include "cpu/cpu_signals.h"
#include "cpu/cpuid_policy.h"
#include "cpu/vcpu.h"
#include "host/system_calls.h"
#include "memory/guest_memory.h"

namespace mynah {

// A way to run processors, for one machine. Outlives its vCPUs.
class Engine {
 public:
    virtual ~Engine() = default;
    // Made in reset state. Ports and signals must outlive the vCPU, which has their gate to itself.
    // Vcpu::run may then be called from a thread of its own, one per vCPU.
    virtual std::unique_ptr<Vcpu> create_vcpu(CpuPorts& ports, CpuSignals& signals,
                                              VcpuIndex index) = 0;
    // A write at this place signals the eventfd and does nothing else, without leaving the guest.
    // False: this engine, or the host, cannot do that (there). Any thread.
    struct BellPlace {
        bool port = false;
        uint64_t address = 0;
        unsigned size = 0;              // of the write in bytes; 0: any
        std::optional<uint32_t> value;  // the only one that counts; only with a size
    };
    virtual bool add_bell(const BellPlace&, int) { return false; }
    virtual void remove_bell(const BellPlace&, int) {}
    // What of the kernel's it uses, and how much, by name, for the operator. Any thread.
    virtual std::map<std::string, uint64_t> uses() const { return {}; }
    // The local APICs, if it has them inside; null: they are the machine's.
    virtual EngineApics* apics() { return nullptr; }
    // What of the policy's features its processors lack, by name.
    virtual std::vector<std::string> missing_features() const { return {}; }
    // What of KVM's paravirtual features (bits of leaf 40000001h [cpuid.rst]) its processors can
    // have.
    virtual uint32_t paravirt_features() const { return ~uint32_t{0}; }
    // Has writes reported to WriteWatch that its processors made without saying so. Any thread.
    virtual void harvest() {}
    // Whether its processors have system management mode.
    virtual bool has_management_mode() const { return true; }
};

// The reference engine. Memory and policy must outlive it.
Result<std::unique_ptr<Engine>> make_interpreter(GuestMemory& memory, const CpuidPolicy& cpuid);

// Of a machine that runs a service; of one that boots a whole system, whose start is new code.
inline constexpr uint64_t kSmallCodeCache = uint64_t{20} << 20;
inline constexpr uint64_t kLargeCodeCache = uint64_t{64} << 20;

struct TranslatorOptions {
    // Host memory for translated code, of all processors together, in bytes; a quarter as much is
    // for what the interpreter decodes because it runs a few times only.
    uint64_t code_cache = kSmallCodeCache;
    // How often the interpreter runs a block before it is translated. 0: at once, for tests.
    uint8_t hot_after = 32;
    // How often in a few milliseconds a block is entered from afar to be made anew with more thought,
    // and with what follows its first branch. 0: all are made so at once.
    uint16_t brief_entries = 200;
    // Write /tmp/perf-PID.map, by which perf names translated blocks.
    bool perf_map = false;
    // Print the guest's code, what is known of it, and the host's, of blocks that start here.
    std::optional<uint64_t> dump_code = std::nullopt;
    // Run every block on the interpreter as well and stop at the first difference.
    bool lockstep = false;
};

// Whether the host's processor has what translated code is made of (AVX, BMI2).
bool translator_usable();

// The translator: guest code becomes host code [docs/life-of-an-instruction.md]. The interpreter
// runs what is cold and what is not translated.
// Error: the host refuses executable memory, or translator_usable() says no.
Result<std::unique_ptr<Engine>> make_translator(GuestMemory& memory, const CpuidPolicy& cpuid,
                                                const TranslatorOptions& options = {});

struct KvmOptions {
    // The local APICs may be the kernel's, if it has them apart from other controllers: the ports
    // give theirs away then (CpuPorts::take_apic).
    bool kernel_apics = false;
};

// The host's KVM, for as many processors as `cpuid` says, through these system calls. Error: what the
// host lacks.
Result<std::unique_ptr<Engine>> make_kvm(GuestMemory& memory, const CpuidPolicy& cpuid,
                                         const KvmOptions& options = {},
                                         SystemCalls& calls = host_system_calls());

}  // namespace mynah
