#include "testing/crash_store.h"

#include <algorithm>
#include <cstring>

namespace mynah::testing {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kLimit = uint64_t{256} << 20;  // an image that wants more is out of its mind

}  // namespace

class CrashStore::View final : public ImageFile {
  public:
    View(CrashStore& store, bool read_only) : store_(store), read_only_(read_only) {}
    const std::string& name() const override { return name_; }
    bool read_only() const override { return read_only_; }
    uint64_t size() const override { return store_.now_.size(); }
    BlockStatus read(uint64_t offset, std::span<const Slice> to) override {
        for (const Slice& slice : to) {
            const auto& from = store_.now_;
            const uint64_t there =
                offset < from.size() ? std::min<uint64_t>(slice.size(), from.size() - offset) : 0;
            if (there > 0) std::memcpy(slice.data(), &from[offset], there);
            if (there < slice.size()) std::memset(slice.data() + there, 0, slice.size() - there);
            offset += slice.size();
        }
        return BlockStatus::kOk;
    }
    BlockStatus write(uint64_t offset, std::span<const Slice> from) override {
        for (const Slice& slice : from) {
            if (slice.empty()) continue;
            TRY_BLOCK(put({offset, {slice.begin(), slice.end()}}));
            offset += slice.size();
        }
        return BlockStatus::kOk;
    }
    BlockStatus flush() override {
        if (store_.crashed_) return BlockStatus::kIoError;
        for (const Change& change : store_.pending_) store_.apply(store_.durable_, change);
        store_.pending_.clear();
        return BlockStatus::kOk;
    }
    BlockStatus discard(uint64_t offset, uint64_t size) override {
        const uint64_t end = store_.now_.size();
        if (offset >= end || size == 0) return BlockStatus::kOk;
        return put({offset, std::vector<std::byte>(std::min(size, end - offset))});
    }
    BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool) override {
        if (size == 0) return BlockStatus::kOk;
        if (offset > kLimit || size > kLimit) return BlockStatus::kNoSpace;
        return put({offset, std::vector<std::byte>(size)});
    }
    BlockStatus truncate(uint64_t size) override { return put({size, {}}); }

  private:
    BlockStatus put(Change change) {
        if (read_only_) return BlockStatus::kReadOnly;
        if (change.offset + change.bytes.size() > kLimit) return BlockStatus::kNoSpace;
        const bool alive = store_.change();
        // The write during which the power goes may still leave traces.
        if (alive || store_.left_ == 0) {
            store_.apply(store_.now_, change);
            store_.pending_.push_back(std::move(change));
        }
        if (alive) return BlockStatus::kOk;
        store_.left_ = std::numeric_limits<uint64_t>::max();
        return BlockStatus::kIoError;
    }

    CrashStore& store_;
    const bool read_only_;
    const std::string name_ = "image";
};

std::unique_ptr<ImageFile> CrashStore::file(bool read_only) {
    return std::make_unique<View>(*this, read_only);
}

bool CrashStore::change() {
    if (crashed_) return false;
    ++changes_;
    if (left_ == 0) {
        crashed_ = true;
        return false;
    }
    if (left_ != std::numeric_limits<uint64_t>::max()) --left_;
    if (until_failing_ > 0) {
        --until_failing_;
        return true;
    }
    if (failing_ == 0) return true;
    --failing_;
    return false;
}

void CrashStore::apply(std::vector<std::byte>& to, const Change& change) const {
    if (change.bytes.empty()) {
        to.resize(change.offset);
        return;
    }
    if (to.size() < change.offset + change.bytes.size())
        to.resize(change.offset + change.bytes.size());
    std::memcpy(&to[change.offset], change.bytes.data(), change.bytes.size());
}

std::vector<std::byte> CrashStore::survivors(std::mt19937_64& random) const {
    std::vector<std::byte> medium = durable_;
    // Sometimes all of it, sometimes little.
    const uint64_t share = random() % 5;
    for (const Change& change : pending_) {
        if (change.bytes.empty()) {
            if (random() % 4 < share) medium.resize(change.offset);
            continue;
        }
        for (uint64_t at = 0; at < change.bytes.size();) {
            const uint64_t part = std::min<uint64_t>(change.bytes.size() - at,
                                                     kSector - (change.offset + at) % kSector);
            if (random() % 4 < share) {
                const auto from = change.bytes.begin() + static_cast<ptrdiff_t>(at);
                apply(medium, {change.offset + at, {from, from + static_cast<ptrdiff_t>(part)}});
            }
            at += part;
        }
    }
    return medium;
}

}  // namespace mynah::testing
