#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/character/character_backend.h"
#include "backend/entropy/entropy_source.h"
#include "backend/network/network_backend.h"
#include "base/result.h"
#include "base/worker_executor.h"
#include "bus/host_clock.h"
#include "bus/io_space.h"
#include "device/chipset/power_sink.h"
#include "device/interrupt/apic_bus.h"
#include "device/interrupt/pic_pair.h"
#include "engine/engine.h"
#include "machine/bell_ringer.h"
#include "machine/boards/board.h"
#include "machine/boards/pc_firmware.h"
#include "machine/device_memory.h"
#include "machine/graphics.h"
#include "machine/kernel_files.h"
#include "machine/kvm_guest_host.h"
#include "machine/machine_config.h"
#include "machine/machine_summary.h"
#include "machine/paused_work.h"
#include "machine/processor.h"
#include "machine/removable_media.h"
#include "machine/run_control.h"
#include "machine/run_record.h"
#include "machine/scsi_hosts.h"
#include "machine/virtio_plug.h"
#include "machine/virtio_devices.h"

namespace mynah {

// A whole machine: it is its members, in the order in which they are made; they go in reverse. Made
// and looked after by one thread; the processors have threads of their own.
class Machine final : private PowerSink, private StartupSink, private VcpuEvents {
  public:
    // Error: one line that names the option and says what was expected; nothing was written then.
    // `record`: what is kept of the run for whoever asks why it ended; outlives the machine.
    static Result<std::unique_ptr<Machine>> create(const MachineConfig& config,
                                                   RunRecord* record = nullptr);
    ~Machine() override;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    // Lets the processors run.
    Result<void> start();
    // Looks after the machine, reboots included, until it ends; all processors have stopped then.
    // Error: the host could not go on (a kernel that cannot be read again for a reboot).
    Result<StopReason> wait();
    // Ends it. Any thread.
    void stop(StopReason reason) { control_.request_stop(reason); }

    // Any thread, from create() on.
    const std::string& name() const { return config_.name; }
    void press_power_button() { board_->press_power_button(); }
    void request_reset() { reset(); }
    // What the processors run on from here on; they are paused for it, and lose nothing. Returns when
    // it is done. Not from their threads, nor from the one in wait(). Error: why they go on as before.
    Result<void> switch_engine(MachineConfig::Accelerator accelerator);
    MachineConfig::Accelerator engine() const { return accelerator_; }
    // What it uses of the host's kernel, by name.
    std::map<std::string, uint64_t> engine_uses() const;
    // The CD drives, and what is put into them; see RemovableMedia.
    std::vector<RemovableDrive> removable_drives() const { 
        return media_->drives([this](size_t disk) -> MediumTrays& { return trays(disk); });
    }
    Result<void> change_medium(const std::string& drive, const std::string& path, bool force) {
        return media_->change([this](size_t disk) -> MediumTrays& { return trays(disk); }, drive,
                              path, force);
    }
    // The screen as it is now, as a PNG. Error: there is none, or the file and why.
    Result<void> screenshot(const std::string& path);
    // What is written on it, lines; empty: there is no screen.
    std::string screen_text() const;

    // The terminal on standard input has another size now.
    void terminal_resized() { virtio_->terminal_resized(); }

    // The memory balloon; the rest only where there is one.
    bool has_balloon() const { return virtio_->balloon() != nullptr; }
    void set_balloon(uint64_t bytes);
    uint64_t balloon_actual() const;
    std::map<std::string, uint64_t> balloon_statistics();
    void ask_for_free_pages();
    // Memory that is plugged in and out (virtio-mem): nothing, if there is none.
    struct PluggableMemory {
        std::string id;
        uint64_t address, size, block, requested, plugged;  // bytes
    };
    std::optional<PluggableMemory> pluggable_memory() const;
    // Error: names what is wrong with the size.
    Result<void> request_memory(uint64_t bytes);

    // A virtio or SCSI disk or a card put into the running machine, under a name of the operator's.
    // detach(): asks the guest, which lets it go when it likes; a SCSI disk goes soon in any case. Error:
    // names what is wrong.
    Result<void> attach_disk(const std::string& id, const DiskConfig& config);
    Result<void> attach_network(const std::string& id, const NetworkConfig& config);
    Result<void> detach(const std::string& id);
    std::vector<std::string> attached() const;

    // Where the screen is served, lines for the operator; empty: nowhere.
    std::string graphics_places() const;
    // What the processors lack of the model that was asked for, for people; empty: nothing.
    std::string cpu_report() const;

    // Where each processor is; asks them all to come to an instruction boundary for the next look.
    // Any thread.
    struct ProcessorPlace {
        uint64_t rip = 0, rflags = 0, looks = 0;  // looks: boundaries it was seen at
        bool halted = false;
    };
    std::vector<ProcessorPlace> processor_places();

    // After wait().
    MachineSummary summary() const;
    std::string register_dump() const;
    // What each processor would run next, and the bytes there.
    std::string next_instructions() const;
    // What each did last, as far as its engine saw.
    std::string last_events() const;

  private:
    Machine(const MachineConfig& config, RunRecord* record);
    Result<void> build();
    std::vector<GuestMemory::Range> ram_ranges() const;
    Result<void> build_memory();
    Result<void> build_board();
    Result<void> open_devices();
    Result<std::vector<VirtioPlug>> take_virtio_plugs();
    Result<std::unique_ptr<Board>> make_micro_board(const BoardContext& context,
                                                    std::span<CharacterBackend* const> serial);
    Result<std::unique_ptr<Board>> make_pc_board(const BoardContext& context,
                                                 std::span<CharacterBackend* const> serial);
    MediumTrays& trays(size_t disk) const;
    Result<void> attach_scsi_disk(const std::string& id, const DiskConfig& config);
    Result<HotSlots*> hot_slots() const;
    Result<void> build_graphics();
    bool is_pc() const { return config_.board == MachineConfig::BoardKind::kPc; }
    TranslatorOptions translator_options() const;
    Result<std::unique_ptr<Engine>> make_engine(MachineConfig::Accelerator accelerator);
    void limit_physical_bits();
    Result<void> build_engine(uint64_t tsc_hz);
    Result<void> exchange_engine(MachineConfig::Accelerator accelerator);
    Result<void> check_move(MachineConfig::Accelerator accelerator, const Engine& engine) const;
    void build_processors(uint64_t tsc_hz);
    Result<void> build_hypervisor(uint64_t tsc_hz);
    void limit_hypervisor();
    Result<void> check_hypervisor(const Engine& engine) const;
    Result<void> pin_processors();
    void raise_smi();
    bool in_management_mode() const;
    Result<void> load_kernel();
    Result<void> boot();

    // PowerSink
    void power_off() override { control_.request_stop(StopReason::kPoweredOff); }
    void reset() override;
    // StartupSink
    void startup(VcpuIndex vcpu, uint8_t vector) override;
    // VcpuEvents
    void vcpu_init(VcpuIndex vcpu) override;
    void vcpu_resumes(VcpuIndex vcpu) override;
    void vcpu_paused(VcpuIndex vcpu) override;
    void vcpu_shut_down(VcpuIndex vcpu) override;

    const MachineConfig config_;
    RunRecord* const record_;
    uint64_t started_ns_ = 0;
    unsigned reboots_ = 0;
    // Numbers for serials and addresses of what comes later; the operator's own come first.
    std::atomic<size_t> next_attached_{0};
    RunControl control_;
    PausedWork paused_work_;
    WorkerExecutor slow_work_;
    std::vector<std::unique_ptr<BlockBackend>> disks_;
    std::optional<RemovableMedia> media_;
    std::vector<std::shared_ptr<void>> followed_;  // places of networks_ in the record
    std::vector<std::unique_ptr<NetworkBackend>> networks_;
    IdleLook idle_;  // at networks_
    HostEntropy entropy_;
    std::optional<PcFirmware> firmware_;
    std::optional<FirmwareKernel> firmware_kernel_;
    std::optional<KernelFiles> kernel_;
    std::unique_ptr<DeviceMemory> device_memory_;
    std::unique_ptr<GuestMemory> memory_;
    // Written by the processors' threads, read by whoever looks.
    struct Seen {
        std::atomic<uint64_t> rip{0}, rflags{0}, looks{0};
        std::atomic<bool> halted{false};
    };
    std::vector<std::unique_ptr<Seen>> seen_;
    EntryPoint entry_;
    std::optional<CpuidPolicy> cpuid_;
    std::string kvm_lacks_;  // of a model that was asked for by name
    std::string hypervisor_lacks_;
    mutable Mutex engine_mutex_;  // over exchanging it, and over who looks at it meanwhile
    std::unique_ptr<Engine> engine_;
    bool manages_ = false;  // the board raises SMIs
    // Which one it is: never kAuto once the machine is made.
    std::atomic<MachineConfig::Accelerator> accelerator_{MachineConfig::Accelerator::kAuto};
    BellRinger bells_;
    IoSpace ports_, memory_space_;
    HostClock clock_;
    ApicBus apic_bus_;
    PicPair pics_;
    // What a guest sees that is told of KVM; both or neither.
    std::unique_ptr<KvmGuestHost> kvm_host_;
    std::unique_ptr<ParavirtKvm> kvm_;
    std::vector<std::unique_ptr<Processor>> processors_;
    std::vector<std::unique_ptr<CharacterBackend>> serial_backends_;
    std::unique_ptr<ScsiHosts> scsi_;        // disks of SCSI hosts that the board owns
    std::unique_ptr<VirtioDevices> virtio_;  // host sides of devices that the board owns
    // Behind the processors: its devices must fall silent before the local APICs go.
    std::unique_ptr<Board> board_;
    std::unique_ptr<VncServer> vnc_;  // goes first: it looks at the board's screen
};

}  // namespace mynah
