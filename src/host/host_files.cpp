#include "host/host_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <sstream>

#include "host/fd.h"

namespace mynah {

std::optional<std::string> HostFiles::read(std::string_view path) const {
    constexpr size_t kMost = 1 << 20;
    const Fd file(open(on_host(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.valid()) return std::nullopt;
    std::string text;
    std::array<char, 4096> piece;
    while (text.size() < kMost) {
        const ssize_t got = ::read(file.get(), piece.data(), piece.size());
        if (got < 0) return std::nullopt;
        if (got == 0) break;
        text.append(piece.data(), static_cast<size_t>(got));
    }
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.pop_back();
    return text;
}

bool HostFiles::exists(std::string_view path) const {
    std::error_code error;
    return std::filesystem::exists(on_host(path), error);
}

std::vector<std::string> HostFiles::list(std::string_view path) const {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator at(on_host(path), error), end; !error && at != end;
         at.increment(error))
        names.push_back(at->path().filename().string());
    std::ranges::sort(names);
    return names;
}

std::optional<std::string> HostFiles::group(std::string_view path) const {
    struct stat status {};
    if (stat(on_host(path).c_str(), &status) != 0) return std::nullopt;
    const std::string number = std::to_string(status.st_gid);
    // NAME:password:GID:members [group(5)].
    std::istringstream groups(read("/etc/group").value_or(""));
    for (std::string line; std::getline(groups, line);) {
        const size_t name = line.find(':');
        const size_t gid = name == line.npos ? line.npos : line.find(':', name + 1);
        if (gid == line.npos) continue;
        if (line.substr(gid + 1, line.find(':', gid + 1) - gid - 1) == number)
            return line.substr(0, name);
    }
    return number;
}

std::optional<uint64_t> HostFiles::number_after(std::string_view path,
                                                std::string_view key) const {
    std::istringstream lines(read(path).value_or(""));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ':')
            continue;
        const size_t digit = line.find_first_not_of(" \t", key.size() + 1);
        uint64_t number = 0;
        if (digit != line.npos &&
            std::from_chars(line.data() + digit, line.data() + line.size(), number).ec ==
                std::errc())
            return number;
    }
    return std::nullopt;
}

bool HostFiles::processor_flag(std::string_view flag) const {
    std::istringstream lines(read("/proc/cpuinfo").value_or(""));
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("flags")) continue;
        std::istringstream words(line);
        for (std::string word; words >> word;) {
            if (word == flag) return true;
        }
        return false;
    }
    return false;
}

}  // namespace mynah
