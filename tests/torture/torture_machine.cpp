#include "torture_machine.h"

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>

#include "guest/layout.h"
#include "host/tsc.h"

namespace mynah::torture {
namespace {

using Clock = std::chrono::steady_clock;

std::chrono::nanoseconds nanoseconds(double seconds) {
    return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

constexpr uint64_t kMemoryBytes = uint64_t{16} << 20;

uint64_t address_of(size_t member) { return PARAMETERS + member; }

}  // namespace

TortureMachine::TortureMachine(const Options& options)
    : options_(options),
      apic_bus_(static_cast<StartupSink&>(*this)),
      pics_(apic_bus_.lint0()),
      random_(options.seed * 2654435761u | 1) {}

TortureMachine::~TortureMachine() {
    control_.request_stop(StopReason::kQuit);
    for (auto& processor : processors_) processor->thread().join();
}

Result<std::unique_ptr<TortureMachine>> TortureMachine::create(const EngineFactory& engine,
                                                               std::span<const std::byte> image,
                                                               const Options& options) {
    std::unique_ptr<TortureMachine> machine(new TortureMachine(options));
    TRY(machine->build(engine, image));
    return machine;
}

Result<void> TortureMachine::build(const EngineFactory& engine, std::span<const std::byte> image) {
    const uint64_t tsc_hz = host_tsc_hz();
    CpuTopology topology;
    topology.cores = options_.processors;
    cpuid_ = TRY(CpuidPolicy::create("max", topology, tsc_hz));
    const GuestMemory::Range range{GuestPhys(0), kMemoryBytes};
    memory_ = TRY(GuestMemory::create({&range, 1}));
    dma_.emplace(*memory_);
    engine_ = TRY(engine(*memory_, *cpuid_));
    TRY(ports_.add("exit", EXIT_PORT, 4, *this));
    const ProcessorContext context{.engine = *engine_,
                                   .cpuid = *cpuid_,
                                   .ports = ports_,
                                   .memory_space = memory_space_,
                                   .apic_bus = apic_bus_,
                                   .external_interrupts = pics_,
                                   .clock = clock_,
                                   .control = control_,
                                   .events = *this,
                                   .idle = idle_,
                                   .kvm = nullptr,
                                   .tsc_hz = tsc_hz,
                                   .instruction_limit = std::nullopt};
    for (uint32_t i = 0; i < options_.processors; ++i)
        processors_.push_back(std::make_unique<Processor>(context, VcpuIndex(i)));
    control_.set_kick([this] {
        for (auto& processor : processors_) processor->signals().raise(CpuSignals::kKick);
    });
    if (!dma_->write(GuestPhys(IMAGE), image)) return Error("the guest's image does not fit");
    Parameters parameters{};
    parameters.processors = options_.processors;
    parameters.seed = options_.seed;
    parameters.timer_ticks = static_cast<uint32_t>(cpuid_->apic_timer_hz() / 1000);
    parameters.tsc_ticks = static_cast<uint32_t>(tsc_hz / 1000);
    store(PARAMETERS, parameters);

    CpuState state = reset_state();
    state.tsc_offset = 0 - read_host_tsc();
    for (uint32_t i = 1; i < options_.processors; ++i)
        processors_[i]->reset(state, VcpuThread::Begin::kWaitForStartup);
    SegmentRegister& cs = state.segment(x86::Segment::kCs);
    cs.selector = IMAGE >> 4;
    cs.base = IMAGE;
    state.rip = 0;
    processors_[0]->reset(state, VcpuThread::Begin::kRunning);
    return {};
}

Outcome TortureMachine::run() {
    for (auto& processor : processors_) processor->thread().start();
    disturb(options_.seconds);
    store(address_of(offsetof(Parameters, stop)), uint32_t{1});
    const bool ended = wait_for_end(options_.patience);
    Outcome outcome;
    if (!ended) outcome.problem = describe_hang();
    control_.request_stop(StopReason::kQuit);
    for (auto& processor : processors_) processor->thread().join();
    outcome.report = read_parameters();
    if (shut_down_) outcome.problem = "a processor shut down;" + where_processors_are();
    if (outcome.report.failed != 0) outcome.problem = describe_failure(outcome.report);
    for (auto& processor : processors_) {
        const VcpuStatistics statistics = processor->vcpu().statistics();
        outcome.statistics.instructions += statistics.instructions;
        outcome.statistics.interrupts += statistics.interrupts;
        outcome.statistics.exceptions += statistics.exceptions;
    }
    return outcome;
}

// As a device would: writes code, then says that it did. Also lets run() return now and then.
void TortureMachine::disturb(double seconds) {
    const auto end = Clock::now() + nanoseconds(seconds);
    while (Clock::now() < end && !control_.stop_reason()) {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 17;
        random_ ^= random_ << 5;
        std::this_thread::sleep_for(std::chrono::microseconds(100 + random_ % 2000));
        if (random_ % 4 == 0) {
            const size_t which = random_ / 4 % processors_.size();
            processors_[which]->signals().raise(CpuSignals::kKick);
            continue;
        }
        const uint32_t next = dma_version_ + 1;
        const uint32_t constant = (next & 0xffff) | ~next << 16;
        // The guest's own writing of this function comes first.
        if (memory_->load<uint8_t>(GuestPhys(DMA_CODE + FUNCTION_CONSTANT - 1)) != 0xb8) continue;
        (void)dma_->store_release(GuestPhys(DMA_CODE + FUNCTION_CONSTANT), constant);
        (void)dma_->store_release(GuestPhys(address_of(offsetof(Parameters, dma_version))), next);
        dma_version_ = next;
    }
}

bool TortureMachine::wait_for_end(double seconds) {
    const auto end = Clock::now() + nanoseconds(seconds);
    return control_.wait(options_.processors, end) == RunControl::Event::kStop;
}

std::string TortureMachine::text_at(uint64_t address) const {
    std::string text;
    for (; text.size() < 200; ++address) {
        const auto byte = memory_->load<char>(GuestPhys(address));
        if (!byte || *byte == 0) break;
        text += *byte;
    }
    return text;
}

Parameters TortureMachine::read_parameters() const {
    return memory_->load<Parameters>(GuestPhys(PARAMETERS)).value_or(Parameters{});
}

std::string TortureMachine::describe_failure(const Parameters& report) const {
    return fmt::format("processor {}: {}:{}: {} (values {:#x}, {:#x})", report.processor,
                       text_at(report.file), report.line, text_at(report.condition),
                       report.values[0], report.values[1]);
}

// Where the processors stand, which they only say once they have stopped.
std::string TortureMachine::describe_hang() {
    control_.request_stop(StopReason::kTimeLimit);
    for (auto& processor : processors_) processor->thread().join();
    return "the guest does not come to its end;" + where_processors_are();
}

// Once they have stopped.
std::string TortureMachine::where_processors_are() {
    std::string text;
    for (auto& processor : processors_) {
        const CpuState& state = processor->vcpu().state();
        text += fmt::format(" {:x}:{:x} flags {:x} rsp {:x} cr2 {:x}{};", state.cs().selector,
                            state.rip, state.flags.value(), state.gpr[kRsp], state.cr2,
                            state.halted ? " halted" : "");
    }
    return text;
}

void TortureMachine::startup(VcpuIndex vcpu, uint8_t vector) {
    processors_[vcpu.value]->thread().startup(vector);
}
void TortureMachine::vcpu_init(VcpuIndex vcpu) { processors_[vcpu.value]->init(); }
void TortureMachine::vcpu_resumes(VcpuIndex vcpu) { processors_[vcpu.value]->resumes(); }
void TortureMachine::vcpu_paused(VcpuIndex vcpu) { processors_[vcpu.value]->paused(); }
void TortureMachine::vcpu_shut_down(VcpuIndex) {
    shut_down_ = true;
    control_.request_stop(StopReason::kCrashed);
}

uint64_t TortureMachine::read(uint64_t, unsigned) { return ~uint64_t{0}; }
void TortureMachine::write(uint64_t, unsigned, uint64_t) {
    control_.request_stop(StopReason::kPoweredOff);
}

}  // namespace mynah::torture
