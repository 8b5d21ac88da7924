#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/network/network_watch.h"
#include "base/mutex.h"
#include "base/result.h"
#include "paravirt/virtio/virtio_history.h"

namespace mynah {

// What a machine leaves behind: a small file that is written by storing to mapped memory, so that
// nothing has to happen for it to be there after the process died, however it died. Who reads it
// trusts nothing in it.
class RunRecord {
  public:
    // Replaces what an earlier machine left there. Error: names the file and why.
    static Result<std::unique_ptr<RunRecord>> create(const std::string& path);
    ~RunRecord();
    RunRecord(const RunRecord&) = delete;
    RunRecord& operator=(const RunRecord&) = delete;

    // --- any thread ---
    void serial(unsigned port, std::span<const std::byte> bytes);
    void log_line(std::string_view line);
    void ran(std::string_view board_and_memory);  // its processors run now
    // How it ended: a word (kPoweredOff...), and what there is to show.
    void ended(std::string_view how, std::string_view evidence);
    // What was on the screen when it ended, lines.
    void screen(std::string_view text);
    // Where the driver of a virtio device is followed, and what passes a network is counted; `place`
    // names it to the operator. Null: there is no room for another. Both lie in the record.
    VirtioHistory* add_virtio(uint32_t device_id, std::string_view place);
    void remove_virtio(VirtioHistory* history);
    NetworkCounts* add_network(std::string_view place);
    void remove_network(NetworkCounts* counts);
    // Lines of log_line() of this process go into this record from now on, as well as fatal signals.
    void watch_process();

    // What was read back.
    struct VirtioContents {
        std::string place;
        VirtioHistory::Values values;
    };
    struct NetworkContents {
        std::string place;
        NetworkCounts::Values values;
    };
    struct Contents {
        int64_t process = 0;
        int signal = 0;  // that ended it; 0: none was caught
        bool has_run = false;
        std::string machine, how, evidence;  // how: empty, it did not come to an end
        std::string serial, log;             // the last of each
        uint64_t started_ns = 0;             // when it ran, by the host's CLOCK_BOOTTIME
        std::string screen;
        std::vector<VirtioContents> virtio;
        std::vector<NetworkContents> networks;
    };
    // Nothing: there is no record, or it is not one.
    static std::optional<Contents> read(const std::string& path);
    static std::optional<Contents> parse(std::span<const std::byte> bytes);
    static size_t bytes();  // of a record

  private:
    struct Layout;
    RunRecord(Layout* layout, std::string path) : layout_(layout), path_(std::move(path)) {}

    Layout* const layout_;
    const std::string path_;
    Mutex places_;  // for who adds and removes places
};

}  // namespace mynah
