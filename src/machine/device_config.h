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

// Devices beside disks, networks and serial ports that the operator asked for.
struct DeviceConfig {
    std::vector<ConsoleConfig> consoles;
    std::optional<BalloonConfig> balloon;
};

}  // namespace mynah
