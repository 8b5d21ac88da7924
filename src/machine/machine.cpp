#include "machine/machine.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "backend/display/png_file.h"
#include "backend/display/screen.h"
#include "firmware/acpi_tables.h"
#include "host/tsc.h"
#include "machine/accelerator.h"
#include "machine/boards/micro_board.h"
#include "machine/boards/micro_layout.h"
#include "machine/boards/pc_board.h"
#include "machine/boards/pc_layout.h"
#include "machine/disks.h"
#include "machine/event_story.h"
#include "machine/followed.h"
#include "machine/networks.h"
#include "machine/placement.h"
#include "machine/recorded_backend.h"
#include "machine/register_dump.h"
#include "machine/serial_backends.h"
#include "machine/vhost_devices.h"
#include "machine/virtio_options.h"
#include "paravirt/virtio/mem/virtio_mem.h"
#include "paravirt/virtio/virtio_block.h"
#include "paravirt/virtio/virtio_entropy.h"
#include "paravirt/virtio/virtio_net.h"

namespace mynah {
namespace {

// APIC id 255 is everybody, and an I/O APIC cannot address more.
constexpr uint32_t kLargestApicId = 254;
constexpr std::chrono::seconds kScreenRecordPeriod{2};

Result<void> check_config(const MachineConfig& config) {
    const uint64_t memory = config.memory_bytes;
    if (memory < MachineConfig::kMinMemory || memory > MachineConfig::kMaxMemory ||
        memory % kMebibyte != 0) {
        return Error(
            fmt::format("--memory: {} bytes; expected a multiple of 1 MiB from 16M to 1T", memory));
    }
    if (config.topology.vcpus() == 0 || config.topology.vcpus() > MachineConfig::kMaxVcpus) {
        return Error(fmt::format("--vcpus: {}; expected 1 to {}", config.topology.vcpus(),
                                 MachineConfig::kMaxVcpus));
    }
    TRY(check_placement(config));
    if (config.translator.lockstep && config.topology.vcpus() != 1)
        return Error("--lockstep: works with one processor only; expected --vcpus 1");
    if (config.translator.lockstep &&
        config.accelerator != MachineConfig::Accelerator::kAuto &&
        config.accelerator != MachineConfig::Accelerator::kTranslator) {
        return Error(
            "--lockstep: compares the translator with the interpreter; expected --accel jit");
    }
    if (config.instruction_limit && config.accelerator == MachineConfig::Accelerator::kKvm) {
        return Error("--instruction-limit: KVM does not count instructions; expected --accel jit or "
                     "interpreter");
    }
    if (config.disks.size() > MachineConfig::kMaxDisks) {
        return Error(fmt::format("--disk: given {} times; expected at most {}", config.disks.size(),
                                 MachineConfig::kMaxDisks));
    }
    if (config.serial_ports.size() > MachineConfig::kMaxSerialPorts) {
        return Error(fmt::format("--serial: given {} times; expected at most {}",
                                 config.serial_ports.size(), MachineConfig::kMaxSerialPorts));
    }
    for (const NetworkConfig& network : config.networks) {
        using Model = NetworkConfig::Model;
        if (config.board == MachineConfig::BoardKind::kMicro && network.model != Model::kDefault &&
            network.model != Model::kVirtio) {
            return Error("--network: the machine micro has no PCI; expected model=virtio");
        }
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Machine>> Machine::create(const MachineConfig& config, RunRecord* record) {
    TRY(check_config(config));
    std::unique_ptr<Machine> machine(new Machine(config, record));
    TRY(machine->build());
    return machine;
}

Machine::Machine(const MachineConfig& config, RunRecord* record)
    : config_(config), record_(record), apic_bus_(static_cast<StartupSink&>(*this)), pics_(apic_bus_.lint0()) {
    ports_.tell_bells(bells_, BellListener::Space::kPorts);
    memory_space_.tell_bells(bells_, BellListener::Space::kMemory);
}

Machine::~Machine() {
    control_.request_stop(StopReason::kQuit);
    for (auto& processor : processors_) processor->thread().join();
    bells_.stop();
}

Result<void> Machine::build() {
    // What the operator named comes first, then what changes something on the host: a mistake in
    // the command line leaves nothing behind.
    if (is_pc() &&
        (config_.kernel.empty() || config_.boot.wants_firmware() || !config_.firmware.empty())) {
        firmware_ = TRY(PcFirmware::open(config_));
        if (!config_.kernel.empty()) {
            const KernelFiles files = TRY(KernelFiles::open(config_));
            firmware_kernel_ =
                TRY(files.for_firmware(config_, pc::ram_ranges(config_.memory_bytes).front().size));
        }
    } else {
        kernel_ = TRY(KernelFiles::open(config_));
    }
    const uint64_t tsc_hz = host_tsc_hz();
    cpuid_ = TRY(CpuidPolicy::create(config_.cpu, config_.topology, tsc_hz));
    // UEFI firmware maps all that can be addressed, page by page, before it does anything else; and
    // takes more than 40 bits for the truth.
    const auto ranges = ram_ranges();
    device_memory_ = TRY(DeviceMemory::open(config_, ranges.back().end(), slow_work_));
    limit_physical_bits();
    const uint32_t vcpus = config_.topology.vcpus();
    if (cpuid_->apic_id(vcpus - 1) > kLargestApicId) {
        return Error("--vcpus: so many sockets, cores and threads need APIC ids above 254");
    }
    disks_ = TRY(open_disks(config_.disks, slow_work_));
    media_.emplace(config_.disks, disks_,
                   [this](const DiskConfig& disk) { return open_disk(disk, slow_work_); });
    networks_ = TRY(open_networks(config_.networks));
    for (size_t i = 0; i < networks_.size(); ++i) {
        followed_.push_back(follow(record_, networks_[i],
                                   network_place(config_.networks[i], std::to_string(i))));
        idle_.watch(*networks_[i]);
    }
    TRY(build_memory());
    TRY(load_kernel());
    accelerator_ = what_auto_means(config_.accelerator);
    TRY(build_hypervisor(tsc_hz));
    TRY(build_engine(tsc_hz));
    memory_->watch().set_harvest([this] {
        MutexLock lock(engine_mutex_);
        engine_->harvest();
    });
    bells_.use(engine_.get());
    apic_bus_.use(engine_->apics());
    build_processors(tsc_hz);
    control_.set_kick([this] {
        for (auto& processor : processors_) processor->signals().raise(CpuSignals::kKick);
    });
    return build_board();
}

void Machine::limit_physical_bits() {
    if (is_pc() && device_memory_->beyond().end.value <= pc::kMemoryOf40Bits)
        cpuid_->limit_physical_bits(40);
}

std::vector<GuestMemory::Range> Machine::ram_ranges() const {
    return is_pc() ? pc::ram_ranges(config_.memory_bytes)
                   : micro::ram_ranges(config_.memory_bytes);
}

Result<void> Machine::build_memory() {
    const GuestMemory::Beyond beyond = device_memory_->beyond();
    if (const uint64_t most = uint64_t{1} << cpuid_->physical_bits(); beyond.end.value > most)
        return Error(fmt::format("--memdev: memory would end at {:#x}, above the {:#x} that the "
                                 "processors can address",
                                 beyond.end.value, most));
    const uint64_t blocks = (is_pc() ? pc::kBlockBytes : 0) + device_memory_->block_bytes();
    memory_ = TRY(GuestMemory::create(ram_ranges(), blocks, beyond, config_.memory_backing));
    return device_memory_->place(*memory_);
}

void Machine::build_processors(uint64_t tsc_hz) {
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
                                   .kvm = kvm_.get(),
                                   .tsc_hz = tsc_hz,
                                   .instruction_limit = config_.instruction_limit};
    for (uint32_t i = 0; i < config_.topology.vcpus(); ++i) {
        seen_.push_back(std::make_unique<Seen>());
        processors_.push_back(std::make_unique<Processor>(context, VcpuIndex(i)));
    }
    memory_->on_map_change([this] {
        for (auto& processor : processors_)
            processor->signals().raise(CpuSignals::kMemoryMap);
    });
}

// The host sides of serial ports and of the devices in config.devices.
Result<void> Machine::open_devices() {
    std::vector<SerialConfig> streams = config_.serial_ports;
    for (const ConsoleConfig& console : config_.devices.consoles) streams.push_back(console.where);
    serial_backends_ = TRY(open_serial_backends(streams, [this] { stop(StopReason::kQuit); }));
    if (record_ != nullptr) {
        for (unsigned i = 0; i < serial_backends_.size(); ++i) {
            if (serial_backends_[i] != nullptr)
                serial_backends_[i] = record_output(std::move(serial_backends_[i]), *record_, i);
        }
    }
    VirtioDevices::Parts parts{.memory = *memory_,
                               .slow_work = slow_work_,
                               .device_memory = *device_memory_,
                               .consoles = {}};
    const auto first_console =
        serial_backends_.begin() + static_cast<ptrdiff_t>(config_.serial_ports.size());
    std::move(first_console, serial_backends_.end(), std::back_inserter(parts.consoles));
    serial_backends_.erase(first_console, serial_backends_.end());
    virtio_ = TRY(VirtioDevices::make(config_, std::move(parts)));
    return {};
}

Result<void> Machine::build_board() {
    TRY(open_devices());
    scsi_ = TRY(ScsiHosts::make(config_, disks_));
    std::vector<CharacterBackend*> serial;
    for (const auto& backend : serial_backends_) serial.push_back(backend.get());
    const BoardContext context{*memory_,  ports_, memory_space_, clock_,
                               apic_bus_, pics_,  *this,         slow_work_,
                               record_};
    board_ = TRY(is_pc() ? make_pc_board(context, serial) : make_micro_board(context, serial));
    return build_graphics();
}

Result<void> Machine::build_graphics() {
    if (!config_.graphics.vnc) return {};
    Screen* const screen = board_->screen();
    InputSink* const input = board_->input();
    if (screen == nullptr || input == nullptr)
        return Error("--graphics vnc: the machine has no display; expected --video vga or virtio");
    vnc_ = TRY(open_graphics(config_, *screen, *input));
    return {};
}

Result<void> Machine::screenshot(const std::string& path) {
    Screen* const screen = board_->screen();
    if (screen == nullptr) return Error("the machine has no display");
    return write_png(screen->capture(), path);
}

std::string Machine::screen_text() const {
    Screen* const screen = board_->screen();
    return screen == nullptr ? std::string() : screen->text();
}

std::string Machine::graphics_places() const {
    return vnc_ ? mynah::graphics_places(config_.graphics, *vnc_) : std::string();
}

Result<std::vector<VirtioPlug>> Machine::take_virtio_plugs() {
    std::vector<VirtioPlug> plugs = scsi_->take();
    for (VirtioPlug& plug : virtio_->take()) plugs.push_back(std::move(plug));
    for (VirtioPlug& plug : TRY(open_vhost_devices(config_, *memory_)))
        plugs.push_back(std::move(plug));
    return plugs;
}

Result<std::unique_ptr<Board>> Machine::make_micro_board(
    const BoardContext& context, std::span<CharacterBackend* const> serial) {
    std::vector<VirtioPlug> devices;
    const auto add = [&devices](std::unique_ptr<VirtioDevice> device) {
        devices.emplace_back().device = std::move(device);
    };
    add(std::make_unique<VirtioEntropy>(entropy_));
    for (size_t i = 0; i < disks_.size(); ++i) {
        if (config_.disks[i].bus == DiskBus::kScsi) continue;  // behind a host, see below
        add(std::make_unique<VirtioBlock>(*disks_[i],
                                          virtio_block_options(config_, config_.disks[i], i)));
    }
    for (unsigned i = 0; i < networks_.size(); ++i) {
        add(std::make_unique<VirtioNet>(*networks_[i],
                                        virtio_net_options(config_, config_.networks[i], i)));
    }
    for (VirtioPlug& plug : TRY(take_virtio_plugs())) devices.push_back(std::move(plug));
    return std::unique_ptr<Board>(TRY(MicroBoard::create(context, serial, std::move(devices))));
}

Result<std::unique_ptr<Board>> Machine::make_pc_board(const BoardContext& context,
                                                      std::span<CharacterBackend* const> serial) {
    std::vector<BlockBackend*> disks;
    for (const auto& disk : disks_) disks.push_back(disk.get());
    std::vector<NetworkBackend*> networks;
    for (const auto& network : networks_) networks.push_back(network.get());
    std::vector<VirtioPlug> virtio = TRY(take_virtio_plugs());
    std::function<void()> smi;
    if (engine_->has_management_mode()) {
        smi = [this] { raise_smi(); };
        manages_ = true;
    } else if (config_.boot.secure) {
        return Error("--boot secure=on: needs system management mode, which this host's KVM does "
                     "not have; expected --accel jit");
    }
    PcBoardParts parts{.config = config_,
                       .firmware = firmware_ ? &*firmware_ : nullptr,
                       .kernel = firmware_kernel_ ? &*firmware_kernel_ : nullptr,
                       .disks = disks,
                       .networks = networks,
                       .serial = serial,
                       .virtio = &virtio,
                       .cpuid = *cpuid_,
                       .smi = std::move(smi),
                       .in_management_mode = [this] { return in_management_mode(); },
                       .panicked = [this] { stop(StopReason::kPanicked); }};
    return std::unique_ptr<Board>(TRY(PcBoard::create(context, parts)));
}

bool Machine::in_management_mode() const {
    const auto vcpu = VcpuThread::current();
    return vcpu && processors_[vcpu->value]->vcpu().state().management_mode;
}

// To the processor whose instruction asked for it; the others are called by firmware if it wants
// them.
void Machine::raise_smi() {
    if (const auto vcpu = VcpuThread::current())
        processors_[vcpu->value]->signals().raise(CpuSignals::kSmi);
}

Result<void> Machine::load_kernel() {
    if (!kernel_) return {};
    entry_ = TRY(kernel_->load(*memory_, config_, acpi_rsdp_address()));
    return {};
}

// What else a guest finds at its start, and the processors as they begin; again after every reset.
Result<void> Machine::boot() {
    std::vector<uint32_t> apic_ids;
    for (uint32_t i = 0; i < processors_.size(); ++i) apic_ids.push_back(cpuid_->apic_id(i));
    TRY(board_->prepare(apic_ids));

    CpuState state = reset_state();
    state.gpr[kRdx] = cpuid_->signature();
    state.tsc_offset = 0 - read_host_tsc();  // one for all: their TSCs count as one
    if (kvm_) kvm_->reset(state.tsc_offset);
    for (uint32_t i = 1; i < processors_.size(); ++i) {
        processors_[i]->reset(state, VcpuThread::Begin::kWaitForStartup);
    }
    if (kernel_) apply_entry(entry_, state);
    processors_[0]->reset(state, VcpuThread::Begin::kRunning);
    return {};
}

Result<void> Machine::start() {
    if (auto booted = boot(); !booted) {
        paused_work_.close();
        return booted;
    }
    started_ns_ = clock_.now_ns();
    for (auto& processor : processors_) processor->thread().start();
    return pin_processors();
}

Result<StopReason> Machine::wait() {
    using Clock = std::chrono::steady_clock;
    RunControl::Deadline deadline;
    if (config_.time_limit_ns)
        deadline = Clock::now() + std::chrono::nanoseconds(*config_.time_limit_ns);
    Result<void> booted;
    bool running = true;
    // A process that is killed cannot write down any more what is on the screen.
    const bool records_screen = record_ != nullptr && board_->screen() != nullptr;
    while (running) {
        RunControl::Deadline next = deadline;
        if (const auto look = Clock::now() + kScreenRecordPeriod;
            records_screen && (!deadline || look < *deadline))
            next = look;
        switch (control_.wait(static_cast<unsigned>(processors_.size()), next)) {
            case RunControl::Event::kStop:
                running = false;
                break;
            case RunControl::Event::kDeadline:
                if (records_screen) record_->screen(screen_text());
                if (deadline && Clock::now() >= *deadline) stop(StopReason::kTimeLimit);
                break;
            case RunControl::Event::kReset:
                ++reboots_;
                board_->reset();
                if (VirtioMem* const mem = virtio_->pluggable_memory()) mem->machine_reset();
                booted = load_kernel();
                if (booted) booted = boot();
                if (!booted) stop(StopReason::kHostError);
                control_.resume(RunControl::Event::kReset);
                break;
            case RunControl::Event::kPaused:
                paused_work_.perform();
                if (kvm_) kvm_->clock().stopped();
                control_.resume(RunControl::Event::kPaused);
        }
    }
    for (auto& processor : processors_) processor->thread().join();
    paused_work_.close();
    if (!booted) return booted.take_error();
    return *control_.stop_reason();
}

void Machine::reset() {
    if (config_.reboot) {
        control_.request_reset();
    } else {
        control_.request_stop(StopReason::kReset);
    }
}

void Machine::startup(VcpuIndex vcpu, uint8_t vector) {
    processors_[vcpu.value]->thread().startup(vector);
}

void Machine::vcpu_init(VcpuIndex vcpu) {
    processors_[vcpu.value]->init();
    // The bootstrap processor would go on in firmware, which resets the machine [SDM 3A 8.4.2]; on
    // the micro board there is none.
    if (vcpu.value == 0) reset();
}

void Machine::vcpu_resumes(VcpuIndex vcpu) { processors_[vcpu.value]->resumes(); }

void Machine::vcpu_paused(VcpuIndex vcpu) {
    processors_[vcpu.value]->paused();
    const CpuState& state = processors_[vcpu.value]->vcpu().state();
    Seen& seen = *seen_[vcpu.value];
    seen.rip.store(state.rip, std::memory_order_relaxed);
    seen.rflags.store(state.flags.value(), std::memory_order_relaxed);
    seen.halted.store(state.halted, std::memory_order_relaxed);
    seen.looks.fetch_add(1, std::memory_order_relaxed);
}

std::vector<Machine::ProcessorPlace> Machine::processor_places() {
    std::vector<ProcessorPlace> places;
    for (size_t i = 0; i < processors_.size(); ++i) {
        const Seen& seen = *seen_[i];
        places.push_back({seen.rip, seen.rflags, seen.looks, seen.halted});
        processors_[i]->signals().raise(CpuSignals::kKick);
    }
    return places;
}

// A PC's chipset answers a processor's shutdown with a reset. A kernel that was entered directly
// would crash again and again.
void Machine::vcpu_shut_down(VcpuIndex) {
    if (is_pc() && !kernel_ && config_.reboot) {
        reset();
    } else {
        control_.request_stop(StopReason::kCrashed);
    }
}

MachineSummary Machine::summary() const {
    MachineSummary summary;
    summary.seconds = static_cast<double>(clock_.now_ns() - started_ns_) / 1e9;
    summary.vcpus = static_cast<unsigned>(processors_.size());
    summary.reboots = reboots_;
    VcpuStatistics all;
    for (const auto& processor : processors_) {
        all += processor->statistics();
    }
    if (all.all_counted) {
        summary.instructions = all.instructions;
    } else {
        summary.instructions.reset();
    }
    summary.exceptions = all.exceptions;
    summary.interrupts = all.interrupts;
    summary.undefined = std::move(all.undefined);
    summary.counters = std::move(all.counters);
    if (kvm_) {
        for (uint32_t i = 0; i < processors_.size(); ++i) {
            const ParavirtKvmVcpu& vcpu = kvm_->vcpu(VcpuIndex(i));
            summary.counters["hypercalls"] += vcpu.hypercalls();
            summary.counters["interrupts ended by a flag"] += vcpu.silent_ends();
        }
    }
    for (const auto& [name, count] : engine_uses()) summary.counters[name] = count;
    return summary;
}

std::string Machine::register_dump() const {
    std::string out;
    for (uint32_t i = 0; i < processors_.size(); ++i) {
        out += format_registers(i, processors_[i]->vcpu().state());
    }
    return out;
}

std::string Machine::last_events() const {
    std::string out;
    Mmu mmu(*memory_, cpuid_->physical_bits());
    for (uint32_t i = 0; i < processors_.size(); ++i) {
        Vcpu& vcpu = processors_[i]->vcpu();
        if (const EventTrail* const trail = vcpu.trail())
            out += format_trail(i, vcpu.state(), *trail, *memory_, mmu);
    }
    return out;
}

std::string Machine::next_instructions() const {
    std::string out;
    Mmu mmu(*memory_, cpuid_->physical_bits());
    for (uint32_t i = 0; i < processors_.size(); ++i)
        out += format_instructions(i, processors_[i]->vcpu().state(), *memory_, mmu);
    return out;
}

}  // namespace mynah
