import './views.css';
import './lab.css';
