#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mynah {

struct SerialConfig {
    enum class Kind { kNone, kStdio, kFile, kSocket, kPty };
    Kind kind = Kind::kNone;
    std::string path;  // kFile, kSocket
    std::string option = "--serial";
};

// A port of the virtio console.
struct ConsoleConfig {
    SerialConfig where;
    bool console = true;  // a terminal; false: a channel
    std::string name;     // of a channel
};

struct BalloonConfig {
    bool deflate_on_oom = false;
    bool free_page_reporting = false;
};

struct VsockConfig {
    uint64_t cid = 0;
    std::string socket;  // path
};

// A folder of the host for the guest.
struct FilesystemConfig {
    std::string directory, tag;
    bool read_only = false;
};

// The display adapter. kDefault: a VGA on a PC, none on the micro board.
struct VideoConfig {
    enum class Model : uint8_t { kDefault, kVga, kVirtio, kNone };
    Model model = Model::kDefault;
    // Of kVirtio on a PC: it is a VGA as well, for firmware and old systems. Nothing: yes.
    std::optional<bool> vga;
    uint16_t width = 1280, height = 800;  // the monitor's preferred mode
};

enum class InputDevice : uint8_t { kKeyboard, kMouse, kTablet };

// What becomes of a machine whose watchdog was not fed; kShutdown: its power button is pressed.
enum class WatchdogAction : uint8_t { kReset, kPowerOff, kShutdown, kNone };

// Devices beside disks, networks and serial ports that the operator asked for.
struct DeviceConfig {
    std::vector<ConsoleConfig> consoles;
    std::optional<BalloonConfig> balloon;
    std::optional<VsockConfig> vsock;
    std::vector<FilesystemConfig> filesystems;
    std::optional<WatchdogAction> watchdog;
    VideoConfig video;
    bool iommu = false;  // a virtio IOMMU in front of a PC's devices
    std::vector<InputDevice> inputs;  // on virtio; a PC has others anyway
};

}  // namespace mynah
