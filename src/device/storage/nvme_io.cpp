#include <algorithm>

#include "device/storage/nvme.h"
#include "device/storage/nvme_memory.h"

// The NVM command set [NVMe 6].
namespace mynah {

using namespace nvme;

bool Nvme::within(uint64_t lba, uint64_t count) const {
    return lba <= blocks() && count <= blocks() - lba;
}

Nvme::Answer Nvme::execute_io(NvmeTask& task) {
    const Submission& command = task.command;
    const bool every = command.opcode == io::kFlush && command.nsid == kEveryNamespace;
    switch (command.opcode) {
        case io::kFlush:
        case io::kRead:
        case io::kWrite:
        case io::kWriteZeroes:
        case io::kDatasetManagement:
            break;
        default:
            return {.status = status::kInvalidOpcode};
    }
    if (command.nsid != 1 && !every) return {.status = status::kInvalidNamespace};
    Answer answer;
    task.work.backend = &backend_;
    switch (command.opcode) {
        case io::kFlush:
            task.work.operation = BlockOperation::kFlush;
            task.work.ranges.assign(1, {0, 0});
            answer.later = true;
            break;
        case io::kRead:
            answer = transfer(task, BlockOperation::kRead);
            break;
        case io::kWrite:
            answer = transfer(task, BlockOperation::kWrite);
            break;
        case io::kWriteZeroes:
            answer = write_zeroes(task);
            break;
        default:
            answer = dataset_management(task);
            break;
    }
    if (answer.later) ready_.push_back(&task);
    return answer;
}

Nvme::Answer Nvme::transfer(NvmeTask& task, BlockOperation operation) {
    const Submission& command = task.command;
    const uint64_t lba = command.cdw10 | uint64_t{command.cdw11} << 32;
    const uint64_t count = (command.cdw12 & 0xffff) + uint64_t{1};
    const uint64_t size = count * geometry_.logical_block_size;
    const bool writes = operation == BlockOperation::kWrite;
    if (size > kPage << kMdts) return {.status = status::kInvalidField};
    if (!within(lba, count)) return {.status = status::kLbaOutOfRange};
    if (writes && geometry_.read_only) return {.status = status::kWriteProtected};
    const uint16_t status = gather_prps(memory_, command.prp1, command.prp2, size, task.slices,
                                        writes ? DmaUse::kRead : DmaUse::kWrite);
    if (status != status::kSuccess) return {.status = status};
    task.work.operation = operation;
    task.work.durable = writes && ((command.cdw12 & io::kForceUnitAccess) != 0 || !write_cache_);
    task.work.ranges.assign(1, {lba * geometry_.logical_block_size, size});
    (writes ? sectors_written_ : sectors_read_) += size / 512;
    ++(writes ? writes_ : reads_);
    return {.later = true};
}

Nvme::Answer Nvme::write_zeroes(NvmeTask& task) {
    const Submission& command = task.command;
    const uint64_t lba = command.cdw10 | uint64_t{command.cdw11} << 32;
    const uint64_t count = (command.cdw12 & 0xffff) + uint64_t{1};
    if (!geometry_.can_write_zeroes) return {.status = status::kInvalidOpcode};
    if (!within(lba, count)) return {.status = status::kLbaOutOfRange};
    if (geometry_.read_only) return {.status = status::kWriteProtected};
    task.work.operation = BlockOperation::kWriteZeroes;
    task.work.durable = (command.cdw12 & io::kForceUnitAccess) != 0 || !write_cache_;
    task.work.may_unmap = (command.cdw12 & io::kDeallocate) != 0;
    task.work.ranges.assign(
        1, {lba * geometry_.logical_block_size, count * geometry_.logical_block_size});
    return {.later = true};
}

// Hints other than deallocation are not followed [NVMe 6.7].
Nvme::Answer Nvme::dataset_management(NvmeTask& task) {
    const Submission& command = task.command;
    std::array<DatasetRange, 256> ranges;
    const size_t count = (command.cdw10 & 0xff) + size_t{1};
    const auto used = std::span(ranges).first(count);
    const uint16_t status =
        gather_prps(memory_, command.prp1, command.prp2, used.size_bytes(), task.slices,
                    DmaUse::kRead);
    if (status != status::kSuccess) return {.status = status};
    if (!task.slices.take_front(std::as_writable_bytes(used))) {
        return {.status = status::kDataTransferError};
    }
    const bool deallocate = (command.cdw11 & io::kAttributeDeallocate) != 0;
    if (deallocate && geometry_.read_only) return {.status = status::kWriteProtected};
    for (const DatasetRange& range : used) {
        if (!within(range.lba, range.blocks)) return {.status = status::kLbaOutOfRange};
        if (range.blocks == 0) continue;
        task.work.ranges.push_back({range.lba * geometry_.logical_block_size,
                                    range.blocks * uint64_t{geometry_.logical_block_size}});
    }
    if (!deallocate || !geometry_.can_discard || task.work.ranges.empty()) return {};
    task.work.operation = BlockOperation::kDiscard;
    return {.later = true};
}

uint16_t Nvme::io_status(const NvmeTask& task, BlockStatus status) const {
    switch (status) {
        case BlockStatus::kOk:
            return status::kSuccess;
        case BlockStatus::kReadOnly:
            return status::kWriteProtected;
        case BlockStatus::kUnsupported:
            // A hint that the host cannot follow is no failure.
            return task.work.operation == BlockOperation::kDiscard ? status::kSuccess
                                                                   : status::kInvalidOpcode;
        case BlockStatus::kIoError:
        case BlockStatus::kNoSpace:
            break;
    }
    return task.work.operation == BlockOperation::kRead ? status::kUnrecoveredRead
                                                        : status::kWriteFault;
}

}  // namespace mynah
