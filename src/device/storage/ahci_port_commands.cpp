#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "device/storage/ahci_port.h"
#include "spec/ata/commands.h"

// How a port carries out commands [AHCI 1.3.1 5.3, 5.5, 5.6].
namespace mynah {

using namespace ahci;

namespace {

// A list that a guest made enormous is given back when it is done with.
constexpr size_t kManySlices = 1024;

// Where a FIS has the bytes of the LBA [SATA 3.1 10.5.5].
constexpr unsigned kLbaBytes[] = {4, 5, 6, 8, 9, 10};

AtaTaskFile taskfile_of(std::span<const uint8_t> fis) {
    AtaTaskFile file;
    file.command = fis[2];
    file.features = static_cast<uint16_t>(fis[3] | fis[11] << 8);
    file.device = fis[7];
    file.count = static_cast<uint16_t>(fis[12] | fis[13] << 8);
    for (unsigned i = 0; i < 6; ++i) file.lba |= uint64_t{fis[kLbaBytes[i]]} << (8 * i);
    return file;
}

void put_registers(std::span<uint8_t> fis, const AtaOutcome& outcome) {
    fis[3] = outcome.error;
    for (unsigned i = 0; i < 6; ++i) {
        fis[kLbaBytes[i]] = static_cast<uint8_t>(outcome.lba >> (8 * i));
    }
    fis[7] = outcome.device;
    fis[12] = static_cast<uint8_t>(outcome.count);
    fis[13] = static_cast<uint8_t>(outcome.count >> 8);
}

}  // namespace

uint64_t AhciPort::header_address(unsigned slot) const {
    return clb_ + slot * sizeof(CommandHeader);
}

AhciTask* AhciPort::next_slot() {
    const uint32_t waiting = ci_ & ~issued_;
    if (waiting == 0) return nullptr;
    const uint32_t from_next = waiting & ~uint32_t{0} << next_;
    const auto slot = static_cast<unsigned>(std::countr_zero(from_next != 0 ? from_next : waiting));
    next_ = (slot + 1) % kSlots;
    return tasks_[slot].get();
}

// Each turn clears a bit of PxCI or issues a slot, and slots are few.
void AhciPort::process() {
    while (running() && !halted_ && !stopping_ && ssts_ > sstatus::kOffline &&
           (status_ & (ata::status::kBusy | ata::status::kDataRequest)) == 0) {
        AhciTask* task = next_slot();
        if (task == nullptr || task->busy) return;
        issue(*task);
    }
}

void AhciPort::issue(AhciTask& task) {
    cmd_ = (cmd_ & ~(uint32_t{0x1f} << cmd::kSlotShift)) | task.slot << cmd::kSlotShift;
    const auto header = memory_.load<CommandHeader>(GuestPhys(header_address(task.slot)));
    if (!header) return fatal(is::kBusFatal);
    task.header = *header;
    task.header.table &= ~uint64_t{0x7f};
    std::array<uint8_t, kTablePacket + ata::kPacketSize> table;
    if (!memory_.read(GuestPhys(task.header.table), std::as_writable_bytes(std::span(table)))) {
        return fatal(is::kBusFatal);
    }
    if ((header->flags & header::kFisLength) < 5 || table[0] != fis::kHostToDevice) {
        return fatal(is::kInterfaceFatal);
    }
    if ((table[1] & fis::kIsCommand) == 0) return control_fis(task, table[15]);

    const AtaTaskFile taskfile = taskfile_of(table);
    AtaCommand& command = task.command;
    command.clear();
    command.taskfile = taskfile;
    task.slices.clear();
    task.moved = 0;
    task.descriptor_interrupt = false;
    device_->begin(command);
    if (command.wants_packet) {
        const auto packet = std::span(table).subspan<kTablePacket, ata::kPacketSize>();
        device_->packet(command, packet);
    }
    task.busy = true;
    issued_ |= uint32_t{1} << task.slot;
    if (command.queued) {
        // The device takes the command and is free for the next one [SATA 3.1 11.15].
        ci_ &= ~(uint32_t{1} << task.slot);
        AtaOutcome accepted;
        accepted.device = taskfile.device;
        post_device_to_host(accepted, false);
    } else {
        status_ = ata::status::kBusy | ata::status::kReady;
    }
    if (command.outcome.failed()) return complete(task);
    if (command.data.size > 0 && !move_buffer(task)) return;
    if (command.data.work.any() && !command.outcome.failed()) {
        ready_ |= uint32_t{1} << task.slot;
    } else {
        complete(task);
    }
}

// Gets the memory of the command, and moves what does not concern the medium. False: the command
// has come to its end.
bool AhciPort::move_buffer(AhciTask& task) {
    DataPhase& data = task.command.data;
    const Gathered gathered = gather(task);
    if (gathered == Gathered::kBad) {
        release(task);
        fatal(is::kBusFatal);
        return false;
    }
    if (data.with_medium()) {
        if (gathered == Gathered::kAll) return true;
        is_ |= is::kOverflow;
        task.command.fail(ata::error::kAborted);
        complete(task);
        return false;
    }
    const auto bytes = std::as_writable_bytes(std::span(data.buffer));
    if (data.direction == DataPhase::Direction::kToHost) {
        if (gathered == Gathered::kShort) is_ |= is::kOverflow;
        task.moved = task.slices.fill(bytes);
        memory_.wrote(task.slices);
    } else {
        if (!task.slices.take_front(bytes)) {
            is_ |= is::kOverflow;
            task.command.fail(ata::error::kAborted);
            complete(task);
            return false;
        }
        task.moved = bytes.size();
        device_->received(task.command);
    }
    return true;
}

AhciPort::Gathered AhciPort::gather(AhciTask& task) {
    const bool to_host = task.command.data.direction == DataPhase::Direction::kToHost;
    const DmaUse use = to_host ? DmaUse::kWrite : DmaUse::kRead;
    const uint64_t wanted = task.command.data.size;
    uint64_t have = 0;
    std::array<Descriptor, 32> chunk;
    for (unsigned at = 0; at < task.header.prdtl && have < wanted;) {
        const size_t count = std::min<size_t>(chunk.size(), task.header.prdtl - at);
        const uint64_t place = task.header.table + kTableDescriptors + at * sizeof(Descriptor);
        const auto part = std::span(chunk).first(count);
        if (!memory_.read(GuestPhys(place), std::as_writable_bytes(part))) return Gathered::kBad;
        for (const Descriptor& descriptor : part) {
            if (have == wanted) break;
            const uint64_t size = std::min<uint64_t>(
                uint64_t{descriptor.count & kDescriptorCount} + 1, wanted - have);
            const GuestPhys base(descriptor.base & ~uint64_t{1});
            if (!memory_.slices(base, size, task.slices, use)) return Gathered::kBad;
            have += size;
            task.descriptor_interrupt |= (descriptor.count & kDescriptorInterrupt) != 0;
        }
        at += static_cast<unsigned>(count);
    }
    return have == wanted ? Gathered::kAll : Gathered::kShort;
}

// Soft reset: two FISes, the first with SRST set, the second without [AHCI 10.4.1].
void AhciPort::control_fis(AhciTask& task, uint8_t control) {
    ci_ &= ~(uint32_t{1} << task.slot);
    const bool reset = (control & ata::control::kSoftReset) != 0;
    const bool over = soft_reset_ && !reset;
    soft_reset_ = reset;
    if (reset) {
        status_ = ata::status::kBusy;
        if ((task.header.flags & header::kClearBusy) != 0) status_ = 0;
        abandon_all();
        stopping_ = away_ > 0;
    }
    if (!over) return;
    device_->reset(AtaDevice::Reset::kSoft);
    const AtaOutcome signature = device_->signature();
    sig_ = static_cast<uint32_t>(signature.lba << 8 | (signature.count & 0xff));
    post_device_to_host(signature, true);
}

void AhciPort::release(AhciTask& task) {
    task.busy = false;
    issued_ &= ~(uint32_t{1} << task.slot);
}

void AhciPort::complete(AhciTask& task) {
    AtaCommand& command = task.command;
    release(task);
    if (task.descriptor_interrupt) is_ |= is::kDescriptor;
    if (command.queued) {
        complete_queued(task);
    } else {
        const uint64_t count_at = header_address(task.slot) + offsetof(CommandHeader, prdbc);
        const bool stored = memory_.store(GuestPhys(count_at), static_cast<uint32_t>(task.moved));
        const bool pio = !command.dma && command.data.size > 0;
        const bool to_host = command.data.direction == DataPhase::Direction::kToHost;
        const bool packet = device_->is_packet_device() && command.taskfile.command == ata::kPacket;
        if (pio) post_pio_setup(task);
        // Data in by PIO end with the setup FIS, all else with the registers [SATA 3.1 11.5].
        if (pio && to_host && !packet && !command.outcome.failed()) {
            status_ = command.outcome.status;
            error_ = command.outcome.error;
        } else {
            post_device_to_host(command.outcome, true);
        }
        if (!stored) return fatal(is::kBusFatal);
        if (command.outcome.failed()) {
            halted_ = true;
            is_ |= is::kTaskFileError;
        } else {
            ci_ &= ~(uint32_t{1} << task.slot);
        }
    }
    if (task.slices.slices().size() > kManySlices) task.slices = SliceList();
}

void AhciPort::complete_queued(AhciTask& task) {
    const AtaCommand& command = task.command;
    const uint32_t tag = uint32_t{1} << command.tag();
    const bool failed = command.outcome.failed();
    if (!failed) sact_ &= ~tag;
    post_set_device_bits(failed ? 0 : tag, command.outcome);
    if (!failed) return;
    // The device gives up what else it has [ACS-3 4.14.2].
    halted_ = true;
    is_ |= is::kTaskFileError;
    abandon_all();
    stopping_ = away_ > 0;
}

// [AHCI 6.1.2]: the port stands still until the guest clears PxCMD.ST.
void AhciPort::fatal(uint32_t cause) {
    is_ |= cause;
    halted_ = true;
}

void AhciPort::post(uint32_t place, std::span<const uint8_t> fis) {
    if ((cmd_ & cmd::kFisEnable) == 0) return;
    if (!memory_.write(GuestPhys(fb_ + place), std::as_bytes(fis))) is_ |= is::kBusFatal;
}

void AhciPort::post_device_to_host(const AtaOutcome& outcome, bool interrupt) {
    std::array<uint8_t, 20> fis{};
    fis[0] = fis::kDeviceToHost;
    fis[1] = interrupt ? fis::kInterrupt : 0;
    fis[2] = outcome.status;
    put_registers(fis, outcome);
    post(kReceivedDeviceToHost, fis);
    status_ = outcome.status;
    error_ = outcome.error;
    if (interrupt) is_ |= is::kDeviceToHost;
}

void AhciPort::post_pio_setup(const AhciTask& task) {
    const AtaCommand& command = task.command;
    const bool to_host = command.data.direction == DataPhase::Direction::kToHost;
    std::array<uint8_t, 20> fis{};
    fis[0] = fis::kPioSetup;
    fis[1] = static_cast<uint8_t>(fis::kInterrupt | (to_host ? fis::kToHost : 0));
    fis[2] = ata::status::kIdle | ata::status::kDataRequest;
    put_registers(fis, command.outcome);
    fis[15] = command.outcome.status;  // when the data are there
    const uint64_t block = std::min<uint64_t>(command.block_bytes, task.moved);
    fis[16] = static_cast<uint8_t>(block);
    fis[17] = static_cast<uint8_t>(block >> 8);
    post(kReceivedPioSetup, fis);
    is_ |= is::kPioSetup;
}

void AhciPort::post_set_device_bits(uint32_t tags, const AtaOutcome& outcome) {
    // Status without busy and data request, which this FIS does not carry [SATA 3.1 10.5.7].
    constexpr uint8_t kCarried = 0x77;
    std::array<uint8_t, 8> fis{};
    fis[0] = fis::kSetDeviceBits;
    fis[1] = fis::kInterrupt;
    fis[2] = outcome.status & kCarried;
    fis[3] = outcome.error;
    std::memcpy(&fis[4], &tags, sizeof tags);
    post(kReceivedSetDeviceBits, fis);
    status_ = static_cast<uint8_t>((status_ & ~kCarried) | (outcome.status & kCarried));
    error_ = outcome.error;
    is_ |= is::kSetDeviceBits;
}

}  // namespace mynah
