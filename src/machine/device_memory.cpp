#include "machine/device_memory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backend/block/raw_file.h"
#include "base/bits.h"
#include "memory/fault_guard.h"

namespace mynah {
namespace {

constexpr uint64_t kAlignment = uint64_t{1} << 30, kFourGib = uint64_t{1} << 32;
constexpr const char* kOption = "--memdev virtio-pmem,path=";

Error failed(const std::string& path, const char* what) {
    return Error(fmt::format("{}{}: {}: {}", kOption, path, what, std::strerror(errno)));
}

// Makes a file that is to be made; what is there is not resized.
Result<void> create_if_missing(const PersistentMemoryConfig& config) {
    if (!config.size) return {};
    const Fd made(::open(config.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!made.valid()) {
        if (errno == EEXIST) return {};
        return failed(config.path, "cannot be made");
    }
    if (ftruncate(made.get(), static_cast<off_t>(*config.size)) == 0) return {};
    Error error = failed(config.path, "cannot be made so large");
    unlink(config.path.c_str());
    return error;
}

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::open(const MachineConfig& config,
                                                         GuestPhys ram_end, Executor& slow_work) {
    std::unique_ptr<DeviceMemory> memory(new DeviceMemory);
    memory->end_ = ram_end;
    if (const auto& pluggable = config.devices.pluggable_memory)
        memory->pluggable_ = {memory->take(pluggable->size), pluggable->size};
    for (const PersistentMemoryConfig& each : config.devices.persistent_memory)
        TRY(memory->open_file(each, slow_work));
    // A file that somebody shortens harms nobody but who needs the bytes.
    if (!memory->persistent_.empty()) survive_shrinking_memory();
    return memory;
}

GuestPhys DeviceMemory::take(uint64_t size) {
    const GuestPhys start(align_up(std::max(end_.value, kFourGib), kAlignment));
    end_ = start + size;
    return start;
}

Result<void> DeviceMemory::open_file(const PersistentMemoryConfig& config, Executor& slow_work) {
    constexpr uint64_t kUnit = PersistentMemoryConfig::kUnit;
    TRY(create_if_missing(config));
    RawFileOptions options;
    options.path = config.path;
    options.format_given = true;
    options.option = kOption;
    auto file = TRY(RawFile::open(options, slow_work));
    Fd fd(::open(config.path.c_str(), O_RDWR | O_CLOEXEC));
    struct stat status {};
    if (!fd.valid() || fstat(fd.get(), &status) != 0) return failed(config.path, "open");
    if (!S_ISREG(status.st_mode))
        return Error(fmt::format("{}{}: expected a file", kOption, config.path));
    const auto size = static_cast<uint64_t>(status.st_size);
    if (config.size && *config.size != size)
        return Error(fmt::format("{}{}: has {} bytes; expected size={} or another file", kOption,
                                 config.path, size, *config.size));
    if (size == 0 || size % kUnit != 0)
        return Error(fmt::format("{}{}: has {} bytes; expected a multiple of 2 MiB", kOption,
                                 config.path, size));
    persistent_.push_back({{take(size), size}, std::move(file), config.path, std::move(fd)});
    return {};
}

uint64_t DeviceMemory::block_bytes() const {
    uint64_t bytes = 0;
    for (const Persistent& each : persistent_) bytes += each.range.size;
    return bytes;
}

Result<void> DeviceMemory::place(GuestMemory& memory) {
    for (Persistent& each : persistent_) {
        const GuestMemory::Block block = memory.take_block(each.range.size);
        const auto backed = memory.back_block(block, each.fd.release());
        if (!backed)
            return Error(fmt::format("{}{}: {}", kOption, each.path, backed.error().message()));
        MemoryOverlay overlay;
        overlay.start = each.range.start;
        overlay.size = each.range.size;
        overlay.kind = MemoryOverlay::Kind::kMemory;
        overlay.offset = block.offset;
        memory.set_overlay(memory.take_overlay(), overlay);
    }
    return {};
}

}  // namespace mynah
