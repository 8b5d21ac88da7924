#pragma once

// The smallest machine a bare program can run on: RAM, one processor, a port to end with.

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cpu/cpu_ports.h"
#include "cpu/cpuid_policy.h"
#include "delayed_work.h"
#include "engine/engine.h"
#include "memory/dma_view.h"
#include "memory/guest_memory.h"
#include "paravirt/kvm/paravirt_kvm.h"
#include "paravirt/kvm/recording_host_test.h"

namespace mynah::bare {

using EngineFactory =
    std::function<Result<std::unique_ptr<Engine>>(GuestMemory& memory, const CpuidPolicy& cpuid)>;

// What a program's header says must happen at its end (bare.h).
enum class Expectation : uint32_t { kExit = 0, kShutdown = 1, kHalt = 2 };

struct Ending {
    VcpuExit exit;
    std::optional<uint32_t> exit_value;  // what was written to the exit port
    CpuState state;
};

class BareMachine final : public CpuPorts {
  public:
    static constexpr uint64_t kMemorySize = 64u << 20;
    static constexpr uint64_t kImageAddress = 0x8000;

    // With a second engine the program moves from one to the other all the time.
    explicit BareMachine(const EngineFactory& engine, const EngineFactory& other = {});

    // Null if the image is a program; else why not.
    std::optional<std::string> load(std::span<const std::byte> image);
    Expectation expectation() const { return expectation_; }
    // Ends when the program writes the exit port, when nothing more can happen, or when it was given
    // far too long. With a limit, which no program reaches, the engine counts instructions.
    Ending run(std::optional<uint64_t> instruction_limit);

    uint32_t io_read(IoPort port, unsigned size) override;
    void io_write(IoPort port, unsigned size, uint32_t value) override;
    uint64_t mmio_read(GuestPhys address, unsigned size) override;
    void mmio_write(GuestPhys address, unsigned size, uint64_t value) override;
    std::optional<uint8_t> acknowledge_interrupt() override;
    uint8_t read_cr8() override { return cr8_; }
    void write_cr8(uint8_t value) override { cr8_ = value; }
    std::optional<uint64_t> read_msr(uint32_t index) override;
    bool write_msr(uint32_t index, uint64_t value) override;
    void tsc_moved(uint64_t offset) override;
    bool hypercall(CpuState& state) override;

  private:
    // Processor 0 is this one, and the only one.
    class KvmHost final : public testing::RecordingKvmHost {
      public:
        explicit KvmHost(BareMachine& machine) : machine_(machine) { processors = 1; }
        bool send_interrupt(uint32_t apic_id, uint8_t vector) override;

      private:
        BareMachine& machine_;
    };

    ParavirtKvmVcpu* kvm();
    VcpuExit run_on_both();
    void exchange_engine();

    void write_by_dma(uint32_t address, uint32_t value);
    void show_flash(bool array);

    std::unique_ptr<GuestMemory> memory_;
    CpuidPolicy cpuid_;
    EngineFactory factory_, other_factory_;
    std::unique_ptr<Engine> engine_;
    CpuSignals signals_;
    std::unique_ptr<Vcpu> vcpu_;
    Expectation expectation_ = Expectation::kExit;
    std::optional<uint32_t> exit_value_;
    std::atomic<uint8_t> interrupt_vector_ = 0;
    uint8_t cr8_ = 0;
    std::array<std::byte, 4096> cells_{};  // of the device that keeps what is written
    uint32_t dma_address_ = 0;
    DmaView dma_;
    GuestMemory::Block flash_;
    unsigned flash_slot_;
    bool hypervisor_ = false;
    KvmHost kvm_host_{*this};
    ParavirtKvm kvm_;
    DelayedWork delayed_;
};

}  // namespace mynah::bare
