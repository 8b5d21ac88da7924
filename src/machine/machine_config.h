#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/block/image/host_file.h"
#include "cpu/cpuid_policy.h"
#include "engine/engine.h"
#include "host/cpu_affinity.h"
#include "machine/device_config.h"
#include "machine/network_config.h"
#include "machine/vhost_config.h"
#include "machine/virtio_config.h"

namespace mynah {

inline constexpr uint64_t kMebibyte = uint64_t{1} << 20;

// How a disk is plugged in. kDefault: virtio on the micro board, SATA on a PC.
enum class DiskBus : uint8_t { kDefault, kVirtio, kSata, kIde, kNvme, kUsb, kScsi };

// Where behind a SCSI host a disk is. Nothing said: the first host, a target of its own, unit 0.
struct ScsiPlace {
    std::string controller;  // its id
    std::optional<uint8_t> target;
    std::optional<uint16_t> lun;

    static constexpr uint64_t kMaxTarget = 255, kMaxLun = 16383;

    bool given() const { return !controller.empty() || target || lun; }
};

// A virtio SCSI host. There is one without being asked for where a disk wants one.
struct ScsiHostConfig {
    static constexpr uint16_t kMaxQueues = 64;
    std::string id;
    VirtioConfig virtio = {};
};

struct DiskConfig {
    static constexpr size_t kMaxSerial = 20;  // as long as all buses can tell it
    static constexpr uint16_t kMaxQueues = 64;

    std::string path;  // empty for a CD drive without a CD
    DiskBus bus = DiskBus::kDefault;
    bool cdrom = false;
    bool read_only = false;
    std::string format;            // empty: by its first bytes, else raw
    std::string data_file;         // of a qcow2 image; empty: the one it names, beside it
    std::optional<uint64_t> create_size;  // bytes; made if there is no such file
    bool snapshot = false;         // writes go to a file that is gone at the end
    bool discard = true;           // a guest's discards are handed on
    bool copy_on_read = false;     // what was read from backing files is kept
    uint64_t iops = 0;             // requests a second; 0: any number
    uint64_t bytes_per_second = 0;
    CacheMode cache = CacheMode::kWriteback;
    std::string serial = {};   // what the guest sees; empty: one that goes with the machine's name
    VirtioConfig virtio = {};  // of bus=virtio
    ScsiPlace scsi = {};       // of bus=scsi
    // The guest is told that there is a cache which it has to flush.
    bool guest_cache() const { return !writes_through(cache); }
};

// The USB host controller of a PC. kEhci: with UHCI companions, for older systems.
enum class UsbModel : uint8_t { kNone, kXhci, kEhci };

// Who may see the screen, by VNC.
struct GraphicsConfig {
    bool vnc = false;
    std::string listen;            // a numeric address; empty: none
    std::optional<uint16_t> port;  // 0: any
    std::string socket;            // path of a Unix socket; empty: none
    bool web = false;              // a page with a viewer as well
    std::optional<uint16_t> web_port;
    std::string password;  // empty: none
};

// From what a PC starts, as firmware is told.
struct BootConfig {
    enum class Device : uint8_t { kDisk, kCdrom, kNetwork };
    bool uefi = false;          // the firmware is UEFI's, else a BIOS
    bool secure = false;        // UEFI's with secure boot: variables change in SMM only
    std::vector<Device> order;  // empty: disk, CD, network
    bool menu = false;          // firmware waits for a key and offers a choice
    std::string nvram;          // path of UEFI's variables; empty: they are forgotten at the end
    // Something here is for firmware, even if a kernel is given.
    bool wants_firmware() const { return uefi || menu || !order.empty() || !nvram.empty(); }
};

// Everything a machine is made from: plain data, checked for sense where it is used.
struct MachineConfig {
    static constexpr uint64_t kMinMemory = 16 * kMebibyte, kMaxMemory = kMebibyte << 20;  // 1 TiB
    static constexpr uint32_t kMaxVcpus = 128;
    static constexpr unsigned kMaxSerialPorts = 4, kMaxDisks = 31;

    enum class BoardKind { kMicro, kPc };
    enum class Accelerator { kAuto, kKvm, kTranslator, kInterpreter };
    enum class Hypervisor { kNone, kKvm };

    std::string name = "mynah";
    // What the addresses of its cards go with: other machines on a network must have others, and
    // this one the same again when it is started anew.
    std::string identity = "mynah";
    uint64_t memory_bytes = 512 * kMebibyte;  // a multiple of 1 MiB
    MemoryBacking memory_backing;             // of the memory the guest finds at its start
    CpuTopology topology;
    // On which of the host's processors they run, by vCPU; one entry: all of them; none: anywhere.
    std::vector<HostCpus> pin;
    std::string cpu = "max";  // MODEL[,+feature,-feature]
    Accelerator accelerator = Accelerator::kAuto;
    Hypervisor hypervisor = Hypervisor::kNone;  // which one's interfaces the guest finds
    bool slow_kvm = false;  // with kKvm: even if the host emulates it
    bool kvm_without_apics = false;  // on KVM: the local APICs are ours though the kernel has some
    TranslatorOptions translator;
    std::optional<uint64_t> code_cache;  // bytes; else as the board's guests need

    BoardKind board = BoardKind::kMicro;
    std::string firmware;  // path; empty: where packages put it
    BootConfig boot;

    std::string kernel;  // path; needed by the micro board
    std::optional<std::string> initrd;
    std::string command_line;
    bool unpack_kernel = true;                // see KernelBoot::unpack
    std::optional<std::string> kernel_cache;  // directory of unpacked kernels; see KernelCache

    std::vector<DiskConfig> disks;
    std::vector<ScsiHostConfig> scsi_hosts;
    UsbModel usb = UsbModel::kXhci;
    GraphicsConfig graphics;
    std::vector<NetworkConfig> networks;
    std::vector<VhostUserConfig> vhost_devices;
    std::vector<SerialConfig> serial_ports;  // COM1 first
    DeviceConfig devices;

    bool reboot = true;  // a guest's reset starts it anew; false: it ends the machine
    std::optional<uint64_t> instruction_limit;  // of each processor
    std::optional<uint64_t> time_limit_ns;
};

}  // namespace mynah
