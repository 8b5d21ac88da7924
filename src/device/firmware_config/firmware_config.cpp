#include "device/firmware_config/firmware_config.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"

namespace mynah {
namespace {

using Bytes = FirmwareConfig::Bytes;

Bytes bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return Bytes(bytes.begin(), bytes.end());
}

}  // namespace

FirmwareConfig::FirmwareConfig(const DmaView& dma) : dma_(dma) {
    set_item(fw_cfg::kSignature, bytes_of("QEMU"));
    set_number(fw_cfg::kId, fw_cfg::kFeatures, sizeof(uint32_t));
    MutexLock lock(mutex_);
    renumber();
}

void FirmwareConfig::set_item(uint16_t key, Bytes content) {
    MutexLock lock(mutex_);
    items_[key] = {std::move(content), false};
    selected_ = nullptr;
}

void FirmwareConfig::set_number(uint16_t key, uint64_t value, unsigned bytes) {
    Bytes content(bytes);
    for (unsigned i = 0; i < bytes; ++i) content[i] = static_cast<std::byte>(value >> (8 * i));
    set_item(key, std::move(content));
}

void FirmwareConfig::set_file(std::string_view name, Bytes content) {
    CHECK(!name.empty() && name.size() <= fw_cfg::kMaxFileName);
    MutexLock lock(mutex_);
    files_[std::string(name)] = {std::move(content), false};
    renumber();
}

void FirmwareConfig::set_writable_file(std::string_view name, Bytes content) {
    set_file(name, std::move(content));
    MutexLock lock(mutex_);
    files_[std::string(name)].writable = true;
}

void FirmwareConfig::remove_file(std::string_view name) {
    MutexLock lock(mutex_);
    files_.erase(std::string(name));
    renumber();
}

Bytes FirmwareConfig::file(std::string_view name) {
    MutexLock lock(mutex_);
    const auto found = files_.find(std::string(name));
    return found == files_.end() ? Bytes() : found->second.content;
}

// Keys and the directory, in the order of names.
void FirmwareConfig::renumber() {
    CHECK(files_.size() <= fw_cfg::kMaxFiles);
    selected_ = nullptr;
    file_items_.clear();
    Bytes directory(sizeof(uint32_t) + files_.size() * sizeof(fw_cfg::File));
    store_unaligned(directory.data(), __builtin_bswap32(static_cast<uint32_t>(files_.size())));
    for (auto& [name, item] : files_) {
        fw_cfg::File entry{};
        entry.size = __builtin_bswap32(static_cast<uint32_t>(item.content.size()));
        entry.key =
            __builtin_bswap16(static_cast<uint16_t>(fw_cfg::kFirstFile + file_items_.size()));
        std::memcpy(entry.name, name.data(), name.size());
        store_unaligned(directory.data() + sizeof(uint32_t) + file_items_.size() * sizeof entry,
                        entry);
        file_items_.push_back(&item);
    }
    items_[fw_cfg::kFileDirectory] = {std::move(directory), false};
}

void FirmwareConfig::select(uint16_t key) {
    key &= static_cast<uint16_t>(~fw_cfg::kWriteChannel);
    position_ = 0;
    selected_ = nullptr;
    const size_t index = key - size_t{fw_cfg::kFirstFile};
    if (key >= fw_cfg::kFirstFile && index < file_items_.size()) {
        selected_ = file_items_[index];
    } else if (const auto found = items_.find(key); found != items_.end()) {
        selected_ = &found->second;
    }
}

// Beyond the end of an item, and where there is none, zeros come.
uint8_t FirmwareConfig::next_byte() {
    if (selected_ == nullptr || position_ >= selected_->content.size()) return 0;
    return std::to_integer<uint8_t>(selected_->content[position_++]);
}

uint64_t FirmwareConfig::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    if (offset >= fw_cfg::kDma) {
        // Big-endian.
        for (unsigned i = 0; i < size; ++i) {
            const unsigned from_top = static_cast<unsigned>(offset - fw_cfg::kDma) + i;
            value |= (fw_cfg::kDmaSignature >> (56 - 8 * from_top) & 0xff) << (8 * i);
        }
        return value;
    }
    if (offset != fw_cfg::kData) return 0;
    MutexLock lock(mutex_);
    for (unsigned i = 0; i < size; ++i) value |= uint64_t{next_byte()} << (8 * i);
    return value;
}

void FirmwareConfig::write(uint64_t offset, unsigned size, uint64_t value) {
    if (offset == fw_cfg::kSelector && size == 2) {
        MutexLock lock(mutex_);
        select(static_cast<uint16_t>(value));
        return;
    }
    if (offset < fw_cfg::kDma || size != 4) return;
    const uint32_t half = __builtin_bswap32(static_cast<uint32_t>(value));
    uint64_t address = 0;
    {
        MutexLock lock(mutex_);
        if (offset == fw_cfg::kDma) {
            dma_high_ = half;
            return;
        }
        address = uint64_t{dma_high_} << 32 | half;
        dma_high_ = 0;
    }
    run_dma(address);
}

void FirmwareConfig::run_dma(uint64_t address) {
    const auto raw = dma_.load<fw_cfg::DmaAccess>(GuestPhys(address));
    if (!raw) return;
    fw_cfg::DmaAccess access{__builtin_bswap32(raw->control), __builtin_bswap32(raw->length),
                             __builtin_bswap64(raw->address)};
    uint32_t result = 0;
    {
        MutexLock lock(mutex_);
        if ((access.control & fw_cfg::dma::kSelect) != 0)
            select(static_cast<uint16_t>(access.control >> fw_cfg::dma::kKeyShift));
        if (!transfer(access)) result = fw_cfg::dma::kError;
    }
    // Zero, or the error bit alone, tells that it is done.
    (void)dma_.store(GuestPhys(address), __builtin_bswap32(result));
}

// One thread's work is bounded by the size of guest memory: what is not there ends it.
bool FirmwareConfig::transfer(const fw_cfg::DmaAccess& access) {
    constexpr size_t kChunk = 4096;
    static constexpr std::byte kZeros[kChunk]{};
    const bool reads = (access.control & fw_cfg::dma::kRead) != 0;
    const bool writes = (access.control & fw_cfg::dma::kWrite) != 0;
    if (!reads && !writes) {
        if ((access.control & fw_cfg::dma::kSkip) != 0 && selected_ != nullptr)
            position_ += std::min<size_t>(access.length, selected_->content.size() - position_);
        return true;
    }
    GuestPhys at(access.address);
    if (writes && !reads) {
        if (selected_ == nullptr || !selected_->writable ||
            access.length > selected_->content.size() - position_) {
            return false;
        }
        const auto to = std::span(selected_->content).subspan(position_, access.length);
        position_ += access.length;
        return dma_.read(at, to);
    }
    for (uint64_t left = access.length; left != 0;) {
        size_t part = static_cast<size_t>(std::min<uint64_t>(left, kChunk));
        const size_t there = selected_ == nullptr ? 0 : selected_->content.size() - position_;
        std::span<const std::byte> from(kZeros);
        if (there != 0) {
            part = std::min(part, there);
            from = std::span(selected_->content).subspan(position_);
            position_ += part;
        }
        if (!dma_.write(at, from.first(part))) return false;
        at = at + part;
        left -= part;
    }
    return true;
}

void FirmwareConfig::reset() {
    MutexLock lock(mutex_);
    selected_ = nullptr;
    position_ = 0;
    dma_high_ = 0;
}

}  // namespace mynah
