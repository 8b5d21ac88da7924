#include "machine/kernel_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "host/fd.h"

namespace mynah {
namespace {

constexpr std::array<char, 8> kMagic = {'M', 'Y', 'N', 'A', 'H', 'K', 'C', '1'};
constexpr std::string_view kSuffix = ".kernel", kUnfinished = ".kernel-new-";
constexpr time_t kAbandonedSeconds = 3600;  // nobody writes for so long

// Against accidents, not against malice: four lanes, since one multiplication waits for the last.
uint64_t checksum(std::span<const std::byte> bytes) {
    constexpr uint64_t kFactor = 0x9e3779b97f4a7c15u;
    std::array<uint64_t, 4> lanes = {1, 2, 3, 4};
    const auto mix = [](uint64_t lane, uint64_t word) {
        lane = (lane ^ word) * kFactor;
        return lane ^ lane >> 29;
    };
    std::array<uint64_t, 4> words;
    while (bytes.size() >= sizeof words) {
        std::memcpy(words.data(), bytes.data(), sizeof words);
        for (unsigned i = 0; i < 4; ++i) lanes[i] = mix(lanes[i], words[i]);
        bytes = bytes.subspan(sizeof words);
    }
    words = {};
    if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
    uint64_t sum = bytes.size();
    for (unsigned i = 0; i < 4; ++i) sum = mix(mix(sum, words[i]), lanes[i]);
    return sum;
}

bool read_all(int fd, std::byte* to, size_t size) {
    while (size > 0) {
        const ssize_t got = read(fd, to, size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        to += got;
        size -= static_cast<size_t>(got);
    }
    return true;
}

bool write_all(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t put = ::write(fd, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        bytes = bytes.subspan(static_cast<size_t>(put));
    }
    return true;
}

// Ours, and nobody else's to write.
bool is_private(const struct stat& info) {
    return info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool usable_directory(const std::string& path) {
    struct stat info;
    return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && is_private(info);
}

// With the directories above it.
void make_directory(const std::string& path) {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
        mkdir(path.substr(0, at).c_str(), 0700);
    mkdir(path.c_str(), 0700);
}

}  // namespace

struct KernelCache::Header {
    std::array<char, 8> magic = kMagic;
    uint64_t packed_size = 0, unpacked_size = 0;
    uint64_t checksum = 0;  // of what is unpacked
};

KernelCache::KernelCache(std::string directory, uint64_t largest)
    : directory_(std::move(directory)), largest_(largest) {}

KernelCache::~KernelCache() {
    if (writer_.joinable()) writer_.join();
}

std::string KernelCache::path_of(std::span<const std::byte> packed) const {
    return fmt::format("{}/{:016x}-{:x}{}", directory_, checksum(packed), packed.size(), kSuffix);
}

std::optional<UnpackedBytes> KernelCache::find(std::span<const std::byte> packed) {
    if (!usable_directory(directory_)) return std::nullopt;
    const Fd file(open(path_of(packed).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info;
    if (!file.valid() || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
        !is_private(info)) {
        return std::nullopt;
    }
    Header header;
    const auto size = static_cast<uint64_t>(info.st_size);
    if (!read_all(file.get(), reinterpret_cast<std::byte*>(&header), sizeof header) ||
        header.magic != kMagic || header.packed_size != packed.size() || size > largest_ ||
        size < sizeof header + packed.size() ||
        header.unpacked_size != size - sizeof header - packed.size()) {
        return std::nullopt;
    }
    // Equal checksums do not make equal kernels.
    const auto kept = std::make_unique_for_overwrite<std::byte[]>(packed.size());
    if (!read_all(file.get(), kept.get(), packed.size()) ||
        std::memcmp(kept.get(), packed.data(), packed.size()) != 0) {
        return std::nullopt;
    }
    UnpackedBytes unpacked(header.unpacked_size);
    if (!read_all(file.get(), unpacked.all().data(), header.unpacked_size) ||
        checksum(unpacked.bytes()) != header.checksum) {
        return std::nullopt;
    }
    futimens(file.get(), nullptr);  // used lately
    return unpacked;
}

void KernelCache::keep(std::span<const std::byte> packed, UnpackedBytes unpacked) {
    if (writer_.joinable()) writer_.join();
    if (sizeof(Header) + packed.size() + unpacked.bytes().size() > largest_) return;
    make_directory(directory_);
    if (!usable_directory(directory_)) return;
    std::vector<std::byte> copy(packed.begin(), packed.end());
    writer_ = std::thread([this, path = path_of(packed), copy = std::move(copy),
                           unpacked = std::move(unpacked)] {
        make_room(sizeof(Header) + copy.size() + unpacked.bytes().size());
        write(path, copy, unpacked.bytes());
    });
}

bool KernelCache::write(const std::string& path, std::span<const std::byte> packed,
                        std::span<const std::byte> unpacked) const {
    std::string unfinished = fmt::format("{}/{}XXXXXX", directory_, kUnfinished);
    const Fd file(mkostemp(unfinished.data(), O_CLOEXEC));  // mode 0600
    if (!file.valid()) return false;
    const Header header{.packed_size = packed.size(),
                        .unpacked_size = unpacked.size(),
                        .checksum = checksum(unpacked)};
    const bool written = write_all(file.get(), std::as_bytes(std::span(&header, 1))) &&
                         write_all(file.get(), packed) && write_all(file.get(), unpacked) &&
                         rename(unfinished.c_str(), path.c_str()) == 0;
    if (!written) unlink(unfinished.c_str());
    return written;
}

// Removes what was used longest ago until there is room, and what others left unfinished.
void KernelCache::make_room(uint64_t size) const {
    struct Kept {
        time_t used;
        uint64_t size;
        std::string path;
    };
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(directory_.c_str()), &closedir);
    if (directory == nullptr) return;
    std::vector<Kept> kept;
    const time_t now = time(nullptr);
    while (const dirent* entry = readdir(directory.get())) {
        const std::string_view name(entry->d_name);
        const std::string path = fmt::format("{}/{}", directory_, name);
        struct stat info;
        if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
        if (name.starts_with(kUnfinished)) {
            if (now - info.st_mtime > kAbandonedSeconds) unlink(path.c_str());
        } else if (name.ends_with(kSuffix)) {
            kept.push_back({info.st_mtime, static_cast<uint64_t>(info.st_size), path});
            size += kept.back().size;
        }
    }
    std::sort(kept.begin(), kept.end(),
              [](const Kept& a, const Kept& b) { return a.used < b.used; });
    for (const Kept& each : kept) {
        if (size <= largest_) return;
        unlink(each.path.c_str());
        size -= each.size;
    }
}

}  // namespace mynah
