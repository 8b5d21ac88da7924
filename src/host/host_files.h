#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mynah {

// What the host says of itself in files: /proc, /sys, /dev, /etc, the folders of packages. All are
// looked for below a root folder, so that a test can have a host of its own.
class HostFiles {
  public:
    explicit HostFiles(std::string root = "") : root_(std::move(root)) {}

    // The text without what ends it; nothing: it cannot be read. At most 1 MiB of it.
    std::optional<std::string> read(std::string_view path) const;
    bool exists(std::string_view path) const;
    // Names in a folder, sorted; none if there is no such folder.
    std::vector<std::string> list(std::string_view path) const;
    // Whose group it is, by name where /etc/group has it, else by number.
    std::optional<std::string> group(std::string_view path) const;
    std::string on_host(std::string_view path) const { return root_ + std::string(path); }

    // --- what several ask ---
    // The number that follows `key:` in a file of such lines (/proc/meminfo).
    std::optional<uint64_t> number_after(std::string_view path, std::string_view key) const;
    // A word in the flags of the first processor (/proc/cpuinfo).
    bool processor_flag(std::string_view flag) const;

  private:
    const std::string root_;
};

}  // namespace mynah
