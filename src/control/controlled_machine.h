#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/removable_media.h"

namespace mynah {

// What can be asked of a running machine from outside. Any thread.
class ControlledMachine {
  public:
    virtual ~ControlledMachine() = default;
    virtual std::string name() const = 0;
    // The picture as it is now, as a PNG. Error: names the file and why, or that there is no
    // screen.
    virtual Result<void> screenshot(const std::string& path) = 0;
    // The drives whose medium can be changed.
    virtual std::vector<RemovableDrive> removable_drives() = 0;
    // drive: empty for the only one; path: empty to take out only. Error: why it stays as it is.
    virtual Result<void> change_medium(const std::string& drive, const std::string& path,
                                       bool force) = 0;
    virtual void press_power_button() = 0;
    virtual void reset() = 0;
    // What its processors run on, by the names of --accel. Error: names what is wrong, and they go
    // on as before.
    virtual std::string engine() = 0;
    virtual std::map<std::string, uint64_t> engine_uses() = 0;
    virtual Result<void> set_engine(const std::string& name) = 0;
    // The memory balloon. Error: there is none.
    virtual Result<void> set_balloon(uint64_t bytes) = 0;
    virtual Result<uint64_t> balloon_actual() = 0;
    // What the guest said last about its memory, by QEMU's names.
    virtual Result<std::map<std::string, uint64_t>> balloon_statistics() = 0;
    virtual Result<void> ask_for_free_pages() = 0;
    // Memory that is plugged in and out; nothing: there is none.
    struct PluggableMemory {
        std::string id;
        uint64_t address = 0, size = 0, block = 0, requested = 0, plugged = 0;  // bytes
    };
    virtual std::optional<PluggableMemory> pluggable_memory() = 0;
    virtual Result<void> request_memory(uint64_t bytes) = 0;
    // A device put into the running machine under a name; `driver` as QEMU calls it, `value` what
    // --disk or --network take; `directory`: where relative paths in it begin. Error: names what is
    // wrong.
    virtual Result<void> attach(const std::string& driver, const std::string& id,
                                const std::string& value, const std::string& directory) = 0;
    // Asks the guest to let it go; it is gone when attached() does not have it any more.
    virtual Result<void> detach(const std::string& id) = 0;
    virtual std::vector<std::string> attached() = 0;
    // Where its processors were when they last came to an instruction boundary; asks them to come to
    // another. `looks`: how often one did.
    struct ProcessorPlace {
        uint64_t rip = 0, rflags = 0, looks = 0;
        bool halted = false;
    };
    virtual std::vector<ProcessorPlace> processor_places() { return {}; }
    // What is written on the screen, lines; empty: it has none.
    virtual std::string screen_text() { return ""; }
    // Ends it at once, whatever the guest is doing.
    virtual void quit() = 0;
};

}  // namespace mynah
