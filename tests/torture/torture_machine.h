#pragma once

// The machine the torture guest runs on: RAM, processors with their local APICs, a clock, and a
// port to end with. The parts are those of real machines; only the board is missing.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bus/host_clock.h"
#include "bus/io_space.h"
#include "cpu/cpuid_policy.h"
#include "device/interrupt/apic_bus.h"
#include "device/interrupt/pic_pair.h"
#include "engine/engine.h"
#include "guest/parameters.h"
#include "machine/processor.h"
#include "memory/dma_view.h"
#include "memory/guest_memory.h"

namespace mynah::torture {

using EngineFactory =
    std::function<Result<std::unique_ptr<Engine>>(GuestMemory& memory, const CpuidPolicy& cpuid)>;

struct Options {
    unsigned processors = 4;
    double seconds = 5;
    uint32_t seed = 1;
    // How long the guest may take to come to its end after it was asked to.
    double patience = 120;
};

// What became of a run; no problem means that all of the guest's checks held.
struct Outcome {
    std::optional<std::string> problem;
    Parameters report{};
    VcpuStatistics statistics;  // of all processors together
};

class TortureMachine final : private StartupSink, private VcpuEvents, private IoHandler {
  public:
    static Result<std::unique_ptr<TortureMachine>> create(const EngineFactory& engine,
                                                          std::span<const std::byte> image,
                                                          const Options& options);
    ~TortureMachine() override;

    // Lets the guest run for the time given, changes code of it by DMA meanwhile, and tells it to
    // stop. Once.
    Outcome run();

  private:
    explicit TortureMachine(const Options& options);
    Result<void> build(const EngineFactory& engine, std::span<const std::byte> image);
    void disturb(double seconds);
    bool wait_for_end(double seconds);
    std::string describe_failure(const Parameters& report) const;
    std::string describe_hang();
    std::string where_processors_are();
    std::string text_at(uint64_t address) const;
    Parameters read_parameters() const;
    template <typename T>
    void store(uint64_t at, T value) {
        (void)dma_->store(GuestPhys(at), value);
    }

    void startup(VcpuIndex vcpu, uint8_t vector) override;
    void vcpu_init(VcpuIndex vcpu) override;
    void vcpu_resumes(VcpuIndex vcpu) override;
    void vcpu_paused(VcpuIndex vcpu) override;
    void vcpu_shut_down(VcpuIndex vcpu) override;
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;

    const Options options_;
    RunControl control_;
    IdleLook idle_;
    IoSpace ports_, memory_space_;
    std::unique_ptr<GuestMemory> memory_;
    std::optional<DmaView> dma_;
    std::optional<CpuidPolicy> cpuid_;
    std::unique_ptr<Engine> engine_;
    HostClock clock_;
    ApicBus apic_bus_;
    PicPair pics_;
    std::vector<std::unique_ptr<Processor>> processors_;
    std::atomic<bool> shut_down_{false};
    uint32_t dma_version_ = 0;
    uint32_t random_;
};

}  // namespace mynah::torture
