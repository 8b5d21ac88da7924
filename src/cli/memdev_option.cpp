#include "cli/memdev_option.h"

#include <fmt/core.h>

#include <bit>
#include <optional>
#include <span>

#include "backend/block/image/create_image.h"
#include "cli/option_value.h"
#include "cli/value_keys.h"

namespace mynah {
namespace {

// A size with a suffix, or in MiB as --memory has it.
ValueKey size_key(std::string_view key, std::optional<uint64_t>& place) {
    return {key, [&place](const std::string& text) -> Result<void> {
                const bool plain =
                    !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
                place = parse_byte_count(plain ? text + "M" : text);
                if (!place) return Error("expected a size in MiB, or with a suffix");
                return {};
            }};
}

Result<void> apply_persistent(RunOptions& options, std::span<const ValuePart> parts) {
    constexpr uint64_t kUnit = PersistentMemoryConfig::kUnit;
    PersistentMemoryConfig memory;
    const ValueKey keys[] = {
        path_key("path", memory.path),        path_key("file", memory.path),
        path_key("source.path", memory.path), size_key("size", memory.size),
        size_key("target.size", memory.size),
    };
    TRY(apply_value_keys(parts, keys));
    if (memory.path.empty())
        return Error("path= is missing; expected virtio-pmem,path=FILE[,size=SIZE]");
    if (memory.size && (*memory.size == 0 || *memory.size % kUnit != 0 ||
                        *memory.size > MachineConfig::kMaxMemory))
        return Error(fmt::format("size={}: expected a multiple of 2 MiB up to 1T", *memory.size));
    auto& all = options.machine.devices.persistent_memory;
    if (all.size() == PersistentMemoryConfig::kMost)
        return Error(
            fmt::format("more than {} virtio-pmem devices", PersistentMemoryConfig::kMost));
    all.push_back(memory);
    return {};
}

Result<void> apply_pluggable(RunOptions& options, std::span<const ValuePart> parts) {
    constexpr uint64_t kMaxBlock = uint64_t{1} << 30;
    std::optional<uint64_t> size, requested, block;
    PluggableMemoryConfig memory;
    const auto set_id = [&](const std::string& id) -> Result<void> {
        if (id.empty() || id.size() > 64) return Error("expected 1 to 64 characters");
        memory.id = id;
        return {};
    };
    const ValueKey keys[] = {
        {"id", set_id},
        size_key("size", size),
        size_key("target.size", size),
        size_key("requested", requested),
        size_key("target.requested", requested),
        size_key("block", block),
        size_key("target.block", block),
    };
    TRY(apply_value_keys(parts, keys));
    if (!size) return Error("size= is missing; expected virtio-mem,size=SIZE[,requested=SIZE]");
    memory.block = block.value_or(memory.block);
    if (!std::has_single_bit(memory.block) || memory.block < kMebibyte || memory.block > kMaxBlock)
        return Error(fmt::format("block={}: expected a power of two from 1M to 1G", memory.block));
    if (*size == 0 || *size % memory.block != 0 || *size > MachineConfig::kMaxMemory)
        return Error(fmt::format("size={}: expected whole blocks of {} bytes, up to 1T", *size,
                                 memory.block));
    memory.size = *size;
    memory.requested = requested.value_or(0);
    if (memory.requested > memory.size || memory.requested % memory.block != 0)
        return Error(fmt::format("requested={}: expected whole blocks of {} bytes, up to size=",
                                 memory.requested, memory.block));
    if (options.machine.devices.pluggable_memory) return Error("virtio-mem was given before");
    options.machine.devices.pluggable_memory = memory;
    return {};
}

}  // namespace

Result<void> apply_memdev_option(RunOptions& options, std::string_view value) {
    const std::vector<ValuePart> parts = split_value(value);
    const ValuePart& first = parts.front();
    const auto rest = std::span(parts).subspan(1);
    if (first.key.empty() || first.key == "model") {
        if (first.value == "virtio-pmem") return apply_persistent(options, rest);
        if (first.value == "virtio-mem") return apply_pluggable(options, rest);
    }
    return Error("expected virtio-mem,size=SIZE or virtio-pmem,path=FILE");
}

}  // namespace mynah
