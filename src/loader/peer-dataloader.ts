export { default as DataLoader } from 'dataloader'
