#include <algorithm>
#include <array>
#include <cstring>

#include "device/storage/ide_channel.h"

// The ways data take through a channel: word by word through the data port, or by the bus master.
namespace mynah {

using namespace ide;

uint32_t IdeChannel::read_data(unsigned size) {
    if (phase_ != Phase::kToHost || index_ != active_) return 0;
    uint32_t value = 0;
    const uint32_t part = std::min<uint32_t>(size, block_end_ - position_);
    std::memcpy(&value, buffer_.data() + position_, part);
    position_ += part;
    if (position_ == block_end_) next_block();
    return value;
}

void IdeChannel::write_data(unsigned size, uint32_t value) {
    const bool takes = phase_ == Phase::kFromHost || phase_ == Phase::kPacket;
    if (!takes || index_ != active_) return;
    const uint32_t part = std::min<uint32_t>(size, block_end_ - position_);
    std::memcpy(buffer_.data() + position_, &value, part);
    position_ += part;
    if (position_ < block_end_) return;
    if (phase_ == Phase::kPacket) {
        packet_written();
    } else if (position_ < chunk_) {
        next_block();
    } else {
        chunk_written();
    }
}

void IdeChannel::packet_written() {
    std::array<uint8_t, ata::kPacketSize> packet;
    std::copy_n(buffer_.begin(), packet.size(), packet.begin());
    phase_ = Phase::kIdle;
    active().packet(command_, packet);
    if (command_.outcome.failed()) return complete();
    advance();
}

void IdeChannel::start_pio() {
    first_block_ = true;
    next_chunk();
}

// A chunk is as much as the buffer holds, in whole blocks of the command.
void IdeChannel::next_chunk() {
    const DataPhase& data = command_.data;
    position_ = block_end_ = chunk_ = 0;
    if (done_ == data.size) {
        active().finish(command_, BlockStatus::kOk);
        return complete();
    }
    uint64_t most = kBufferSize;
    if (command_.block_bytes < kBufferSize && !by_packet()) {
        most -= most % command_.block_bytes;
    }
    chunk_ = static_cast<uint32_t>(std::min<uint64_t>(data.size - done_, most));
    if (data.direction == DataPhase::Direction::kFromHost) return next_block();
    if (!data.with_medium()) {
        std::memcpy(buffer_.data(), data.buffer.data() + done_, chunk_);
        return next_block();
    }
    work_ = data.work;
    work_.ranges[0] = {data.work.ranges[0].offset + done_, chunk_};
    slices_.clear();
    slices_.append(std::as_writable_bytes(std::span(buffer_).first(chunk_)));
    start_work();
}

// Lets the host move the next block through the data port.
void IdeChannel::next_block() {
    const bool to_host = command_.data.direction == DataPhase::Direction::kToHost;
    if (to_host && position_ == chunk_) {
        done_ += chunk_;
        // The last data of a command end it: for a disk with the block's interrupt, for a packet
        // device with one of its own [ATA8-APT 9.5, 9.9].
        if (done_ == command_.data.size && !by_packet()) {
            active().finish(command_, BlockStatus::kOk);
            phase_ = Phase::kIdle;
            return show(command_.outcome);
        }
        return next_chunk();
    }
    block_end_ = position_ + std::min(chunk_ - position_, command_.block_bytes);
    phase_ = to_host ? Phase::kToHost : Phase::kFromHost;
    status_[active_] = ata::status::kIdle | ata::status::kDataRequest;
    if (by_packet()) {
        const uint32_t bytes = block_end_ - position_;
        count_.now = to_host ? ata::packet::kToHost : 0;
        lba_[1].now = static_cast<uint8_t>(bytes);
        lba_[2].now = static_cast<uint8_t>(bytes >> 8);
    }
    // The host asked for the first block that it writes; it need not be told.
    const bool asked = first_block_ && !to_host && !by_packet();
    first_block_ = false;
    if (!asked) raise();
}

void IdeChannel::chunk_written() {
    DataPhase& data = command_.data;
    if (data.with_medium()) {
        work_ = data.work;
        work_.ranges[0] = {data.work.ranges[0].offset + done_, chunk_};
        slices_.clear();
        slices_.append(std::as_writable_bytes(std::span(buffer_).first(chunk_)));
        return start_work();
    }
    std::memcpy(data.buffer.data() + done_, buffer_.data(), chunk_);
    done_ += chunk_;
    if (done_ < data.size) return next_chunk();
    active().received(command_);
    if (command_.outcome.failed() || !data.work.any()) return complete();
    work_ = data.work;
    start_work();
}

// Collects what the regions describe, as much as the command moves [PIIX3 2.6.3]. A table has an
// end even if no region is marked as the last.
bool IdeChannel::gather(uint64_t wanted) {
    slices_.clear();
    const bool to_host = command_.data.direction == DataPhase::Direction::kToHost;
    const DmaUse use = to_host ? DmaUse::kWrite : DmaUse::kRead;
    uint64_t have = 0;
    bool last = false;
    for (unsigned i = 0; i < kMostRegions && !last && have < wanted; ++i) {
        const auto region =
            memory_.load<Region>(GuestPhys(uint64_t{bm_table_} + i * sizeof(Region)));
        if (!region) return false;
        uint64_t size = region->count & kRegionCount;
        if (size == 0) size = 0x10000;
        size = std::min(size, wanted - have);
        const GuestPhys base(region->base & ~uint32_t{1});
        if (!memory_.slices(base, size, slices_, use)) return false;
        have += size;
        last = (region->count & kRegionLast) != 0;
        if (have == wanted && last) bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
    }
    return have == wanted;
}

void IdeChannel::start_dma() {
    DataPhase& data = command_.data;
    if (!gather(data.size)) {
        bm_status_ |= bm_status::kError;
        bm_status_ &= static_cast<uint8_t>(~bm_status::kActive);
        command_.fail(ata::error::kAborted);
        return complete();
    }
    if (data.with_medium()) {
        work_ = data.work;
        return start_work();
    }
    const auto bytes = std::as_writable_bytes(std::span(data.buffer));
    if (data.direction == DataPhase::Direction::kToHost) {
        slices_.fill(bytes);
        memory_.wrote(slices_);
        return complete();
    }
    if (!slices_.take_front(bytes)) return complete();  // gather() found that many
    active().received(command_);
    if (command_.outcome.failed() || !data.work.any()) return complete();
    work_ = data.work;
    start_work();
}

}  // namespace mynah
